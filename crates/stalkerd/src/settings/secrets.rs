//! Which settings are secret: told by their names, so that a new one cannot be forgotten.

const HIDDEN: &str = "(hidden)";

/// Whether the last part of a setting's name says that it is a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    ["key", "keys", "secret", "token", "password"]
        .iter()
        .any(|word| last == *word || last.ends_with(&format!("_{word}")))
}

/// Replaces every secret, and the password of a URL.
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
    use super::*;

    #[test]
    fn secrets_are_hidden() {
        let mut values: toml::Table =
            "[a]\napi_key = 'x'\nb.url = 'https://u:p@hooks.example/T0/x?k=1'\nurl = 'postgres://u:pw@h/d?host=/x&password=pw'\nstable_keys = true\nslots = 1"
                .parse()
                .expect("toml");
        hide(&mut values);
        assert_eq!(
            toml::to_string(&values).expect("toml"),
            "[a]\napi_key = \"(hidden)\"\nslots = 1\nstable_keys = true\nurl = \"postgres://u:(hidden)@h/d?host=/x&password=(hidden)\"\n\n\
             [a.b]\nurl = \"https://hooks.example/(hidden)\"\n"
        );
    }
}
