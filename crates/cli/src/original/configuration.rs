//! The original's configuration: two lines of a file, or the environment.

use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::context::{Credentials, Server, address};

const SYSTEM_FILE: &str = "/etc/stalker/stalker-client.conf";
/// Where `make run` writes it, for who works in its folder.
const LOCAL_FILE: &str = ".stalker/stalker-client.conf";

struct Configuration {
    file: PathBuf,
    url: Option<String>,
    key: Option<String>,
}

/// The server that is configured, if one is.
pub(crate) fn configured() -> Option<Server> {
    let found = read();
    Some(Server {
        credentials: found.key.map_or(Credentials::None, Credentials::Key),
        ..Server::at(address(&found.url?).ok()?)
    })
}

/// The same, with the original's words if there is none.
pub(super) fn required() -> Result<Server, String> {
    let found = read();
    let missing = |what: &str| format!("No {what} found in env nor in {}", found.file.display());
    let url = found
        .url
        .as_ref()
        .ok_or_else(|| missing("stalkerweb_url"))?;
    let url = address(url).map_err(|failure| failure.to_string())?;
    let key = found
        .key
        .as_ref()
        .ok_or_else(|| missing("stalkerweb_api_key"))?;
    Ok(Server {
        credentials: Credentials::Key(key.clone()),
        ..Server::at(url)
    })
}

fn read() -> Configuration {
    let file = file();
    let text = fs::read_to_string(&file).unwrap_or_default();
    let value = |name: &str| {
        // a folder's file is not for keys of the environment: those are for another server
        let said = env::var_os(name)
            .filter(|_| file != Path::new(LOCAL_FILE))
            .and_then(|value| value.into_string().ok());
        let written = || {
            let mut lines = text.lines().filter(|line| line.starts_with(name));
            // up to the second `=`, as the original reads it
            Some(lines.next_back()?.split('=').nth(1)?.trim().to_owned())
        };
        said.filter(|value| !value.is_empty())
            .or_else(written)
            .filter(|value| !value.is_empty())
    };
    Configuration {
        url: value("stalkerweb_url"),
        key: value("stalkerweb_api_key"),
        file,
    }
}

/// The one that is named, else the first that is there.
fn file() -> PathBuf {
    if let Some(file) = env::var_os("stalker-client-conf") {
        return file.into();
    }
    let home = env::var_os("STALKER_HOME").map(|home| Path::new(&home).join("stalker-client.conf"));
    if let Some(file) = home.filter(|file| file.exists()) {
        return file;
    }
    let system = Path::new(SYSTEM_FILE);
    if !system.exists() && is_private(Path::new(LOCAL_FILE)) {
        return LOCAL_FILE.into();
    }
    system.into()
}

/// Whether it is the file of this folder that says which server is asked.
pub(crate) fn is_of_this_folder() -> bool {
    file() == Path::new(LOCAL_FILE)
}

/// As `make run` writes it: ours, and nobody else's to read.
fn is_private(file: &Path) -> bool {
    let ours = fs::metadata("/proc/self").map(|process| process.uid()).ok();
    fs::metadata(file).is_ok_and(|metadata| {
        metadata.permissions().mode() & 0o077 == 0 && Some(metadata.uid()) == ours
    })
}
