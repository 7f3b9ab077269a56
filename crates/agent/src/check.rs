//! One check: its definition, read from a section or from a drop-in's file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::{AccessFlags, access};
use stalker_domain::wire::RegisteredCheck;

use crate::env_dict;
use crate::section::{Section, SettingError};
use crate::settings::{INTERVAL_S, PRIORITY, Settings, TIMEOUT_S};

/// One check: what to run, and what the server should know of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The name under which it is registered and called.
    pub name: String,
    /// The script's absolute path.
    pub cmd: PathBuf,
    /// The arguments as configured.
    pub args: String,
    /// The arguments as the script gets them; unused with `shell`.
    pub words: Vec<String>,
    /// Whether `cmd` and `args` go through `sh -c`.
    pub shell: bool,
    /// Variables added to the script's environment. Never leaves this machine.
    pub env: BTreeMap<String, String>,
    /// After how long the script is ended.
    pub timeout: Duration,
    /// What is registered.
    pub registered: RegisteredCheck,
}

/// A definition that was understood.
pub(crate) struct Parsed {
    /// `None` if it is switched off.
    pub(crate) check: Option<Arc<Check>>,
    pub(crate) warnings: Vec<String>,
}

/// Reads a section of the configuration: the one that names its script.
pub(crate) fn from_section(
    mut section: Section,
    settings: &Settings,
) -> Result<Parsed, SettingError> {
    let cmd = section
        .text("cmd")
        .ok_or_else(|| section.error("cmd", "missing; it names an executable file"))?;
    let cmd = PathBuf::from(cmd);
    if !cmd.is_absolute() {
        return Err(section.error("cmd", format!("{} is not an absolute path", cmd.display())));
    }
    if !cmd.is_file() {
        return Err(section.error("cmd", format!("{} is not a file", cmd.display())));
    }
    if access(&cmd, AccessFlags::X_OK).is_err() {
        return Err(section.error("cmd", format!("{} is not executable", cmd.display())));
    }
    let name = section.name.clone();
    parse(&name, cmd, section, settings)
}

/// Reads the keys that sections and drop-in files share.
pub(crate) fn parse(
    name: &str,
    cmd: PathBuf,
    mut section: Section,
    settings: &Settings,
) -> Result<Parsed, SettingError> {
    if !is_name(name) {
        return Err(section.error("(name)", NAME_RULE));
    }
    let args = section.text("args").unwrap_or_default();
    let shell = section.flag("shell")?.unwrap_or(false);
    let words = if shell {
        Vec::new()
    } else {
        shell_words::split(&args).map_err(|_| section.error("args", "a quote is not closed"))?
    };
    let env_text = section.text("env").unwrap_or_default();
    let env = env_dict::parse(&env_text).map_err(|message| section.error("env", message))?;
    let interval = section
        .number("interval", INTERVAL_S)?
        .unwrap_or(settings.default_interval_s);
    let timeout_s = section
        .number("timeout", TIMEOUT_S)?
        .unwrap_or(settings.default_timeout_s);
    let registered = RegisteredCheck {
        cmd: Some(cmd.display().to_string()),
        args: args.clone(),
        interval,
        follow_up: section.number("follow_up", INTERVAL_S)?.unwrap_or(interval),
        priority: Some(
            section
                .number("priority", PRIORITY)?
                .unwrap_or(settings.default_priority),
        ),
        timeout: Some(timeout_s),
        alert_threshold: section.number("alert_threshold", 1..=1000)?,
        flap_threshold: section.number("flap_threshold", 2..=1000)?,
        flap_window: section.number("flap_window", INTERVAL_S)?,
    };
    let is_enabled = section.flag("enabled")?.unwrap_or(true);
    let mut warnings: Vec<String> = section.unknown_keys().collect();
    if let Some(special) = unquoted_special(&args).filter(|_| !shell) {
        let meaning = format!(
            "`{special}` reaches the script as it stands: no shell reads it (quote it, or set shell = true)"
        );
        warnings.push(section.error("args", meaning).to_string());
    }
    let timeout = Duration::from_secs(timeout_s.unsigned_abs());
    let check = Check {
        name: name.to_owned(),
        cmd,
        args,
        words,
        shell,
        env,
        timeout,
        registered,
    };
    Ok(Parsed {
        check: is_enabled.then(|| Arc::new(check)),
        warnings,
    })
}

/// Completes "the name …".
const NAME_RULE: &str =
    "a check's name has at most 200 characters: ASCII letters, digits and _ - . : @ +";

/// Names travel as one segment of a URL's path and must mean there what they mean here.
fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:@+".contains(&byte);
    (1..=200).contains(&name.len()) && name.bytes().all(is_plain) && !matches!(name, "." | "..")
}

/// The first character that a shell would have acted on. Between double quotes it still expands `$` and back-ticks.
fn unquoted_special(args: &str) -> Option<char> {
    let mut quote = None;
    let mut chars = args.chars();
    while let Some(char) = chars.next() {
        match (quote, char) {
            (None | Some('"'), '\\') => {
                chars.next();
            }
            (None, '\'' | '"') => quote = Some(char),
            (Some(open), _) if open == char => quote = None,
            (Some('"'), '$' | '`') => return Some(char),
            (None, '|' | '&' | ';' | '<' | '>' | '(' | ')' | '$' | '`' | '*' | '?' | '~') => {
                return Some(char);
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters() {
        for (args, special) in [
            ("-w 1,5,10 -c 2,10,15", None),
            (r"-r '\d+$' -C '#5' -p 20%", None),
            ("-w 1;2", Some(';')),
            ("a | b", Some('|')),
            ("'a | b' \"c > d\"", None),
            ("\"$HOME\"", Some('$')),
            (r"\$HOME \* it\'s", None),
            ("~/x", Some('~')),
        ] {
            assert_eq!(unquoted_special(args), special, "{args}");
        }
    }

    #[test]
    fn names() {
        for (name, good) in [
            ("check_load", true),
            ("http:8080", true),
            ("a b", false),
            ("a/b", false),
            ("", false),
            ("..", false),
            ("é", false),
        ] {
            assert_eq!(is_name(name), good, "{name}");
        }
    }
}
