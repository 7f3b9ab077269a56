//! `[main]`: what the agent is told about itself.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::{env, fs};

use reqwest::Url;
use reqwest::header::HeaderValue;
use tracing::Level;

use crate::section::{Section, SettingError};

/// Seconds that an interval may last; the server refuses others.
pub(crate) const INTERVAL_S: std::ops::RangeInclusive<i64> = 1..=604_800;
/// Seconds that a script may take.
pub(crate) const TIMEOUT_S: std::ops::RangeInclusive<i64> = 1..=3600;
/// 0 never notifies; above 2 counts as 2.
pub(crate) const PRIORITY: std::ops::RangeInclusive<i64> = 0..=100;

/// `[main]`. No `Debug`: it holds keys.
#[derive(Clone, PartialEq)]
pub struct Settings {
    /// Address or host name to listen on.
    pub listen_addr: String,
    /// Port to listen on; 0 takes any that is free.
    pub listen_port: u16,
    /// The address to register, where the server cannot see it by itself.
    pub ip: Option<IpAddr>,
    /// PEM files of certificate and key; without them the agent makes its own.
    pub certificate: Option<CertificateFiles>,
    /// Where the API is.
    pub master_url: Url,
    /// PEM file with a further authority for `master_url`.
    pub master_ca: Option<PathBuf>,
    /// What allows the agent to register.
    pub register_key: HeaderValue,
    /// What allows a server to call the agent; without it the agent makes its own.
    pub check_key: Option<String>,
    /// Folder of drop-in scripts.
    pub script_dir: PathBuf,
    /// Folder of what the agent makes and keeps.
    pub state_dir: PathBuf,
    /// The name to register under.
    pub hostname: String,
    /// Labels of the host.
    pub roles: Vec<String>,
    /// Seconds between runs, for checks that do not say.
    pub default_interval_s: i64,
    /// Priority of checks that do not say.
    pub default_priority: i64,
    /// Seconds after which a script is ended, for checks that do not say.
    pub default_timeout_s: i64,
    /// How many scripts run at the same time.
    pub max_parallel: usize,
    /// What is logged, and where.
    pub log: LogSettings,
}

/// A certificate chain and its key, both as PEM files.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// Chain, leaf first.
    pub cert: PathBuf,
    /// Private key of the leaf.
    pub key: PathBuf,
}

/// What is logged, and where.
#[derive(Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// A file to append to; else standard error.
    pub path: Option<PathBuf>,
    /// The least important level that is shown.
    pub level: Level,
    /// One JSON object a line instead of text.
    pub is_json: bool,
}

impl Settings {
    pub(crate) fn read(main: &mut Section) -> Result<Self, SettingError> {
        let ssl_cert = main.text("ssl_cert");
        // The original's sample file says `ssl_crt`, its code reads `ssl_cert`.
        let ssl_crt = main.text("ssl_crt");
        let certificate = match (ssl_cert.or(ssl_crt), main.text("ssl_key")) {
            (Some(cert), Some(key)) => Some(CertificateFiles {
                cert: cert.into(),
                key: key.into(),
            }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(main.error("ssl_key", "missing, while ssl_cert is given"));
            }
            (None, Some(_)) => {
                return Err(main.error("ssl_cert", "missing, while ssl_key is given"));
            }
        };
        let hostname_parts = main.number("hostname_parts", 1..=100)?.unwrap_or(1);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Self {
            listen_addr: main
                .text("listen_addr")
                .unwrap_or_else(|| "0.0.0.0".to_owned()),
            listen_port: main
                .parsed("listen_port", "a port, 0 to 65535")?
                .unwrap_or(5050),
            ip: main.parsed("ip", "an IP address")?,
            certificate,
            master_url: master_url(main)?,
            master_ca: main.text("master_ca").map(PathBuf::from),
            register_key: register_key(main)?,
            check_key: main.text("check_key"),
            script_dir: main
                .text("script_dir")
                .unwrap_or_else(|| "/etc/stalker/scripts".to_owned())
                .into(),
            state_dir: main
                .text("state_dir")
                .map_or_else(default_state_dir, PathBuf::from),
            hostname: hostname(main, usize::try_from(hostname_parts).unwrap_or(1))?,
            roles: roles(&main.text("roles").unwrap_or_else(|| "server".to_owned())),
            default_interval_s: main.number("default_interval", INTERVAL_S)?.unwrap_or(300),
            default_priority: main.number("default_priority", PRIORITY)?.unwrap_or(1),
            default_timeout_s: main.number("default_timeout", TIMEOUT_S)?.unwrap_or(10),
            max_parallel: main
                .number("max_parallel", 1..=10_000)?
                .and_then(|number| usize::try_from(number).ok())
                .unwrap_or(4 * cores),
            log: LogSettings::read(main)?,
        })
    }

    /// What differs from `running` and is only read at the start.
    pub(crate) fn needs_restart(&self, running: &Self) -> Vec<&'static str> {
        [
            ("listen_addr", self.listen_addr != running.listen_addr),
            ("listen_port", self.listen_port != running.listen_port),
            ("ssl_cert, ssl_key", self.certificate != running.certificate),
            ("state_dir", self.state_dir != running.state_dir),
            ("max_parallel", self.max_parallel != running.max_parallel),
            ("log_path, log_level, log_format", self.log != running.log),
        ]
        .into_iter()
        .filter_map(|(keys, differs)| differs.then_some(keys))
        .collect()
    }
}

impl LogSettings {
    fn read(main: &mut Section) -> Result<Self, SettingError> {
        let level = main.text("log_level").unwrap_or_else(|| "info".to_owned());
        // Python's name for it, in case the file comes from there.
        let level = if level.eq_ignore_ascii_case("warning") {
            "warn".to_owned()
        } else {
            level
        };
        let level = level.parse().map_err(|_| {
            main.error(
                "log_level",
                format!("{level:?} is none of error, warn, info, debug, trace"),
            )
        })?;
        let is_json = match main.text("log_format").as_deref() {
            None | Some("text") => false,
            Some("json") => true,
            Some(other) => {
                return Err(main.error("log_format", format!("{other:?} is neither text nor json")));
            }
        };
        Ok(Self {
            path: main.text("log_path").map(PathBuf::from),
            level,
            is_json,
        })
    }
}

fn master_url(main: &mut Section) -> Result<Url, SettingError> {
    let text = main
        .text("master_url")
        .unwrap_or_else(|| "http://localhost:5000".to_owned());
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        Ok(_) => Err(main.error(
            "master_url",
            format!("{text:?} does not begin with http:// or https://"),
        )),
        Err(error) => Err(main.error("master_url", format!("{text:?} is no URL: {error}"))),
    }
}

fn register_key(main: &mut Section) -> Result<HeaderValue, SettingError> {
    let key = main
        .text("register_key")
        .ok_or_else(|| main.error("register_key", "missing; the server's operator knows it"))?;
    let mut key = HeaderValue::try_from(key).map_err(|_| {
        main.error(
            "register_key",
            "holds characters that an HTTP header cannot carry",
        )
    })?;
    key.set_sensitive(true);
    Ok(key)
}

fn hostname(main: &mut Section, parts: usize) -> Result<String, SettingError> {
    if let Some(name) = main.text("hostname") {
        return Ok(name);
    }
    let name = fs::read_to_string("/proc/sys/kernel/hostname").map_err(|error| {
        main.error(
            "hostname",
            format!("missing, and the system's cannot be read: {error}"),
        )
    })?;
    Ok(name
        .trim()
        .split('.')
        .take(parts)
        .collect::<Vec<_>>()
        .join("."))
}

fn roles(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|role| !role.is_empty())
        .map(str::to_owned)
        .collect()
}

/// `/var/lib/stalker-agent` where we may write there, else the user's own folder for such things.
fn default_state_dir() -> PathBuf {
    let system = Path::new("/var/lib/stalker-agent");
    let writable = nix::unistd::AccessFlags::W_OK;
    let place = if system.exists() {
        system
    } else {
        Path::new("/var/lib")
    };
    if nix::unistd::access(place, writable).is_ok() {
        return system.to_owned();
    }
    let state = env::var_os("XDG_STATE_HOME")
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from);
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    state
        .unwrap_or_else(|| home.join(".local/state"))
        .join("stalker-agent")
}
