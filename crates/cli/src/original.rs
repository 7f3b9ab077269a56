//! Called as `stalker-client`: the original's options, configuration and output.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::context::{Credentials, Server, address};

const SYSTEM_FILE: &str = "/etc/stalker/stalker-client.conf";
/// Where `make run` writes it, for who works in its folder.
const LOCAL_FILE: &str = ".stalker/stalker-client.conf";

/// The server of the original's configuration: the environment, else its file.
pub(crate) fn configured() -> Option<Server> {
    let file = env::var_os("stalker-client-conf").map(PathBuf::from);
    let home =
        env::var_os("STALKER_HOME").map(|home| PathBuf::from(home).join("stalker-client.conf"));
    let files = [
        file,
        home,
        Some(SYSTEM_FILE.into()),
        Some(LOCAL_FILE.into()),
    ];
    let text = files
        .into_iter()
        .flatten()
        .find_map(|file| fs::read_to_string(file).ok())
        .unwrap_or_default();
    let value = |name: &str| {
        let said = env::var_os(name).and_then(|value| value.into_string().ok());
        let written = || {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split('=').nth(1)?.trim().to_owned())
        };
        said.or_else(written).filter(|value| !value.is_empty())
    };
    Some(Server {
        url: address(&value("stalkerweb_url")?).ok()?,
        credentials: value("stalkerweb_api_key").map_or(Credentials::None, Credentials::Key),
        ca_file: None,
    })
}

pub(crate) fn run(_arguments: &[OsString]) -> ExitCode {
    ExitCode::FAILURE
}
