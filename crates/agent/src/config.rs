//! The agent's configuration: read once (and again when it changes), validated, and passed on as a value.
//!
//! Layers: what stands here < the INI file < `STALKER_AGENT__SECTION__KEY`. A bad value in `[main]` refuses the
//! start, for the agent could not do its work with it; a bad check costs only itself ([`crate::checks`]).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use figment::providers::Env;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider, Source};

use crate::ini::Ini;
use crate::section::{Section, SettingError};
use crate::settings::Settings;

/// Where the configuration stands unless another file is named.
pub const DEFAULT_FILE: &str = "/etc/stalker/stalker-agent.conf";

/// Variables with this prefix override the file. Scripts never see them: they may hold keys.
pub(crate) const ENV_PREFIX: &str = "STALKER_AGENT__";

/// A configuration that was read: `[main]` is valid, the checks are not looked at yet.
pub struct Config {
    /// The file that it was read from, as an absolute path.
    pub file: PathBuf,
    /// What `[main]` says.
    pub settings: Arc<Settings>,
    /// The other sections: one for each check.
    pub(crate) sections: Vec<Section>,
    /// What the user should hear about.
    pub warnings: Vec<String>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is missing or not readable.
    #[error("cannot read the configuration {}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `[main]` has a line that cannot be understood.
    #[error("{}, line {line}: {message}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        message: &'static str,
    },
    /// `[main]` has a value that cannot be used.
    #[error(transparent)]
    Setting(#[from] SettingError),
}

impl Config {
    /// Reads `file` and the environment.
    ///
    /// # Errors
    /// When the file cannot be read, or `[main]` is not usable.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable {
            file: file.to_owned(),
            source,
        };
        let file = std::path::absolute(file).map_err(unreadable)?;
        let ini = Ini::read(&file).map_err(unreadable)?;
        let mut sections = read_sections(&ini, Environment).map_err(|error| {
            unreadable(io::Error::new(
                io::ErrorKind::InvalidData,
                error.to_string(),
            ))
        })?;
        let mut warnings = Vec::new();
        for problem in &ini.problems {
            let main_only = problem
                .section
                .as_deref()
                .filter(|section| *section != "main");
            let Some(section) = main_only else {
                return Err(ConfigError::Malformed {
                    file,
                    line: problem.line,
                    message: problem.message,
                });
            };
            warnings.push(format!(
                "{}, line {}: [{section}]: {}; the line is ignored",
                file.display(),
                problem.line,
                problem.message
            ));
        }
        let mut main = sections
            .remove("main")
            .unwrap_or_else(|| Section::new("main", &file.display().to_string()));
        let settings = Settings::read(&mut main)?;
        warnings.extend(main.unknown_keys());
        Ok(Self {
            file,
            settings: Arc::new(settings),
            sections: sections.into_values().collect(),
            warnings,
        })
    }
}

/// The sections of an INI file with another layer above it, by name.
pub(crate) fn read_sections(
    ini: &Ini,
    above: impl Provider,
) -> Result<BTreeMap<String, Section>, Box<figment::Error>> {
    let file = ini.path().display().to_string();
    let figment = Figment::new().merge(ini).merge(above);
    let merged = figment
        .data()?
        .remove(&Profile::Default)
        .unwrap_or_default();
    let mut sections = BTreeMap::new();
    for (name, keys) in merged {
        let mut section = Section::new(&name, &file);
        for (key, value) in keys.into_dict().unwrap_or_default() {
            let place = match figment
                .get_metadata(value.tag())
                .and_then(|from| from.source.as_ref())
            {
                Some(Source::File(path)) => path.display().to_string(),
                _ => format!(
                    "{ENV_PREFIX}{}__{}",
                    name.to_uppercase(),
                    key.to_uppercase()
                ),
            };
            section.insert(&key, value.into_string().unwrap_or_default(), place);
        }
        sections.insert(name, section);
    }
    Ok(sections)
}

/// The environment as a layer. figment's own [`Env`] would read a key `0123` as a number and lose its zero.
struct Environment;

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named("environment")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut sections: BTreeMap<String, Dict> = BTreeMap::new();
        for (name, value) in Env::prefixed(ENV_PREFIX).split("__").iter() {
            if let Some((section, key)) = name.as_str().split_once('.') {
                sections
                    .entry(section.to_owned())
                    .or_default()
                    .insert(key.to_owned(), Value::from(value));
            }
        }
        let sections = sections
            .into_iter()
            .map(|(name, keys)| (name, Value::from(keys)))
            .collect();
        Ok(Profile::Default.collect(sections))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(file.path(), text).expect("written");
        Config::load(file.path())
    }

    /// A start with `line` in `[main]` is refused with a text that holds all of `words`.
    #[track_caller]
    fn check_refused(line: &str, words: &[&str]) {
        let error = load(&format!("[main]\n{line}\n"))
            .err()
            .expect(line)
            .to_string();
        for word in words {
            assert!(error.contains(word), "{line}: {error}");
        }
    }

    #[test]
    fn main_is_refused() {
        check_refused("", &["[main] register_key", "missing"]);
        check_refused(
            "register_key=k\nlisten_port = 70000",
            &["[main] listen_port", "70000", "65535"],
        );
        check_refused(
            "register_key=k\nlisten_port = many",
            &["listen_port", "many"],
        );
        check_refused(
            "register_key=k\ndefault_interval = 0",
            &["default_interval", "1 to 604800"],
        );
        check_refused(
            "register_key=k\nmaster_url = ftp://x",
            &["master_url", "ftp://x"],
        );
        check_refused(
            "register_key=k\nmaster_url = nonsense",
            &["master_url", "nonsense"],
        );
        check_refused("register_key=k\nssl_crt = /x", &["ssl_key", "missing"]);
        check_refused("register_key=k\nlog_level = loud", &["log_level", "loud"]);
        check_refused("register_key=k\nnonsense", &["line 3", "neither"]);
    }

    #[test]
    fn a_plain_file() {
        let config = load(
            "[main]\nRegister_Key = 0123\nroles = server, web ,\nssl_crt=/c\nssl_key=/k\nlisten_addr =\nhostnam=x\n[check_x]\ncmd=/bin/true\n",
        )
        .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.settings.register_key, "0123");
        assert_eq!(config.settings.roles, ["server", "web"]);
        assert_eq!(config.settings.listen_addr, "0.0.0.0");
        assert_eq!(config.settings.listen_port, 5050);
        assert!(config.settings.certificate.is_some());
        assert_eq!(config.sections.len(), 1);
        assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
        assert!(
            config.warnings[0].contains("[main] hostnam: unknown key"),
            "{:?}",
            config.warnings
        );
    }
}
