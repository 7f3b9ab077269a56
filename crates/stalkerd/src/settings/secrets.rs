//! Which settings are secret: told by their names, so that a new one cannot be forgotten. Each may stand in a file of its
//! own: `api_key_file = "/run/secrets/api_key"` sets `api_key`.

use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};
use figment::error::{Actual, Kind};
use figment::value::{Dict, Value};

const HIDDEN: &str = "(hidden)";

/// Whether the last part of a setting's name says that it is a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    [
        "key", "keys", "secret", "secrets", "token", "password", "topic",
    ]
    .iter()
    .any(|word| last == *word || last.ends_with(&format!("_{word}")))
}

/// Reads what stands in files of its own. True if there was any.
pub(super) fn read_files(values: &mut Dict) -> anyhow::Result<bool> {
    let mut is_changed = false;
    let names: Vec<String> = values.keys().cloned().collect();
    for name in names {
        if let Some(Value::Dict(_, inner)) = values.get_mut(&name) {
            is_changed |= read_files(inner).with_context(|| name.clone())?;
            continue;
        }
        let Some(secret) = name
            .strip_suffix("_file")
            .filter(|name| is_secret(name) || *name == "url")
        else {
            continue;
        };
        let Some(Value::String(tag, path)) = values.remove(&name) else {
            bail!("{name} is not the path of a file");
        };
        ensure!(
            !values.contains_key(secret),
            "both {secret} and {name} are set"
        );
        let text =
            fs::read_to_string(&path).with_context(|| format!("{name}: cannot read {path}"))?;
        let text = text.trim();
        ensure!(!text.is_empty(), "{name}: {path} is empty");
        // several keys, one in each line
        let value = if secret.ends_with("keys") {
            let keys = text
                .lines()
                .map(|line| Value::String(tag, line.trim().to_owned()));
            Value::Array(tag, keys.collect())
        } else {
            Value::String(tag, text.to_owned())
        };
        values.insert(secret.to_owned(), value);
        is_changed = true;
    }
    Ok(is_changed)
}

/// Refuses a file that is no TOML: says where, and not, as the parser would, what stands there, which may be a secret.
pub(super) fn check_syntax(file: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("cannot read the configuration {}", file.display()))?;
    let Err(error) = text.parse::<toml::Table>() else {
        return Ok(());
    };
    let before = error
        .span()
        .map_or("", |span| text.get(..span.start).unwrap_or(&text));
    let line = before.matches('\n').count() + 1;
    bail!(
        "line {line} of the configuration {} is no TOML: {}",
        file.display(),
        error.message()
    );
}

/// What is wrong with the settings, without the values that are wrong: a secret may stand in the wrong place.
pub(super) fn without_values(errors: figment::Error) -> anyhow::Error {
    let errors = errors.into_iter().map(|mut error| {
        if let Kind::InvalidType(actual, _) | Kind::InvalidValue(actual, _) = &mut error.kind {
            let kind = match actual {
                Actual::Bool(_) => "a bool",
                Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) => "a number",
                Actual::Char(_) | Actual::Str(_) | Actual::Bytes(_) => "a text",
                Actual::Seq => "a list",
                Actual::Map => "a section",
                _ => "something else",
            };
            *actual = Actual::Other(kind.to_owned());
        }
        error.to_string()
    });
    anyhow!(errors.collect::<Vec<_>>().join("; "))
}

/// Replaces every secret, the password of a URL, and the arguments of a command.
pub(super) fn hide(values: &mut toml::Table) {
    for (name, value) in values {
        let is_secret = is_secret(name);
        match value {
            toml::Value::Table(inner) => hide(inner),
            toml::Value::Boolean(_) => {}
            value if is_secret => *value = HIDDEN.into(),
            toml::Value::String(text) if name == "url" => {
                *text = without_secrets(text);
            }
            toml::Value::Array(words) if name == "command" => {
                words
                    .iter_mut()
                    .skip(1)
                    .for_each(|word| *word = HIDDEN.into());
            }
            _ => {}
        }
    }
}

/// A URL without its password, and without the path of a web address: a webhook's path is its key.
fn without_secrets(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    if scheme.starts_with("http") {
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        return format!("{scheme}://{host}/{HIDDEN}");
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let shown: Vec<String> = query
        .split_terminator('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if name.ends_with("password") => format!("{name}={HIDDEN}"),
            _ => pair.to_owned(),
        })
        .collect();
    let query = if shown.is_empty() {
        String::new()
    } else {
        format!("?{}", shown.join("&"))
    };
    match rest
        .rsplit_once('@')
        .and_then(|(user, at)| Some((user.split_once(':')?.0, at)))
    {
        Some((user, at)) => format!("{scheme}://{user}:{HIDDEN}@{at}{query}"),
        None => format!("{scheme}://{rest}{query}"),
    }
}

#[cfg(test)]
mod tests {
    use figment::Figment;
    use figment::providers::{Format, Toml};

    use super::*;

    #[test]
    fn secrets_are_hidden() {
        let mut values: toml::Table =
            "[a]\napi_key = 'x'\nb.url = 'https://u:p@hooks.example/T0/x?k=1'\nb.command = ['/bin/tell', '-k', 'x']\nurl = 'postgres://u:pw@h/d?host=/x&password=pw'\ntopic = 'x'\nstable_keys = true\nslots = 1"
                .parse()
                .expect("toml");
        hide(&mut values);
        assert_eq!(
            toml::to_string(&values).expect("toml"),
            "[a]\napi_key = \"(hidden)\"\nslots = 1\nstable_keys = true\ntopic = \"(hidden)\"\nurl = \"postgres://u:(hidden)@h/d?host=/x&password=(hidden)\"\n\n\
             [a.b]\ncommand = [\"/bin/tell\", \"(hidden)\", \"(hidden)\"]\nurl = \"https://hooks.example/(hidden)\"\n"
        );
    }
    /// Reads the files of a configuration; what came of it as TOML, or what is wrong.
    fn read(text: &str) -> Result<String, String> {
        let mut values: Dict = Figment::new()
            .merge(Toml::string(text))
            .extract()
            .expect("toml");
        match read_files(&mut values) {
            Ok(is_changed) => {
                let shown = toml::to_string(&values).expect("toml");
                assert_eq!(is_changed, shown.trim() != text.trim(), "{text}");
                Ok(shown.trim().to_owned())
            }
            Err(error) => Err(format!("{error:#}")),
        }
    }

    #[test]
    fn secrets_may_stand_in_files() {
        let folder = std::env::temp_dir().join(format!("stalker-secrets-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder can be made");
        let (one, several) = (folder.join("one"), folder.join("several"));
        fs::write(&one, "  123 \n").expect("a file can be written");
        fs::write(&several, "old\n older\n").expect("a file can be written");
        let (one, several) = (one.display(), several.display());
        let ok = |text: String, expected: &str| assert_eq!(read(&text).as_deref(), Ok(expected));
        ok(format!("api_key_file = '{one}'"), "api_key = \"123\"");
        ok(format!("url_file = '{one}'"), "url = \"123\"");
        ok(
            format!("[channels.x]\nprevious_keys_file = '{several}'"),
            "[channels.x]\nprevious_keys = [\"old\", \"older\"]",
        );
        ok(
            format!("[channels.a_key_file]\nauth_token_file = '{one}'"),
            "[channels.a_key_file]\nauth_token = \"123\"",
        );
        // not the name of a secret
        ok(
            "pause_file = \"/nowhere\"".to_owned(),
            "pause_file = \"/nowhere\"",
        );
        fs::remove_dir_all(&folder).expect("it is there");

        let wrong = |text: &str, why: &str| {
            let error = read(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        };
        wrong(
            "[channels.x]\nkey_file = '/nowhere/x'",
            "channels: x: key_file: cannot read /nowhere/x",
        );
        wrong("key_file = '/dev/null'", "key_file: /dev/null is empty");
        wrong(
            "key = 'a'\nkey_file = '/dev/null'",
            "both key and key_file are set",
        );
        wrong("key_file = 3", "key_file is not the path of a file");
    }
}
