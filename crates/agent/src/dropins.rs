//! Drop-in scripts: every executable file in `script_dir` is a check of its name.
//!
//! A script that somebody is just copying there must not be registered half-written. A file therefore counts as
//! there when nobody is known to write to it and it has not changed for a moment; until then a new one waits and a
//! known one stays as it was.

use std::fs::{self, Metadata};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{io, iter};

use nix::unistd::{AccessFlags, access};

use crate::check::{Check, Parsed, parse};
use crate::checks::CheckSet;
use crate::config::read_sections;
use crate::ini::Ini;
use crate::section::{Section, SettingError};
use crate::settings::Settings;

/// How long a file must have been unchanged.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// What stands behind one entry of the folder.
pub(crate) enum Found {
    /// A script, with its definition.
    Check {
        name: String,
        check: Result<Parsed, SettingError>,
    },
    /// A known script that is being changed.
    Kept(Arc<Check>),
    /// A new script that is being written.
    Unsettled,
    /// Something that the user should hear about.
    Report(String),
}

/// Looks through the folder, in the order of the names. A folder that is not there holds no scripts.
pub(crate) fn scan(
    settings: &Settings,
    previous: &CheckSet,
    is_being_written: impl Fn(&Path) -> bool,
) -> Vec<Found> {
    let dir = &settings.script_dir;
    let names = match names(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            // The scripts are not gone, they only cannot be seen.
            let kept = previous
                .values()
                .filter(|check| check.cmd.parent() == Some(dir));
            let report =
                Found::Report(format!("cannot read script_dir {}: {error}", dir.display()));
            return kept
                .cloned()
                .map(Found::Kept)
                .chain(iter::once(report))
                .collect();
        }
    };
    names
        .into_iter()
        .filter_map(|name| look_at(&name, settings, previous, &is_being_written))
        .collect()
}

fn names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.contains(['.', '$']) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn look_at(
    name: &str,
    settings: &Settings,
    previous: &CheckSet,
    is_being_written: impl Fn(&Path) -> bool,
) -> Option<Found> {
    let script = settings.script_dir.join(name);
    let cfg = settings.script_dir.join(format!("{name}.cfg"));
    let metadata = fs::metadata(&script).ok()?;
    if !metadata.is_file() || metadata.len() == 0 || access(&script, AccessFlags::X_OK).is_err() {
        return None;
    }
    let cfg_metadata = fs::metadata(&cfg).ok();
    let is_whole = is_settled(&metadata) && cfg_metadata.as_ref().is_none_or(is_settled);
    if !is_whole || is_being_written(&script) || is_being_written(&cfg) {
        let known = previous.get(name).filter(|check| check.cmd == script);
        return Some(known.map_or(Found::Unsettled, |check| Found::Kept(Arc::clone(check))));
    }
    let section = match cfg_metadata {
        Some(_) => read_cfg(&cfg),
        None => Ok(Section::new("default", &script.display().to_string())),
    };
    let check = section.and_then(|section| parse(name, script, section, settings));
    Some(Found::Check {
        name: name.to_owned(),
        check,
    })
}

/// Whether a file has not changed for a moment. By the time of the inode's change, which the kernel alone sets. A time in the future (a clock that was set back)
/// counts as long ago.
pub(crate) fn is_settled(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(seconds), Ok(nanos)) = (
        u64::try_from(metadata.ctime()),
        u32::try_from(metadata.ctime_nsec()),
    ) else {
        return true;
    };
    let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
    changed.elapsed().map_or(true, |age| age >= SETTLED_AFTER)
}

fn read_cfg(cfg: &Path) -> Result<Section, SettingError> {
    let nothing = Section::new("default", &cfg.display().to_string());
    let refuse = |message: String| nothing.error("(file)", message);
    let ini = Ini::read(cfg).map_err(|error| refuse(error.to_string()))?;
    if let Some(problem) = ini.problems.first() {
        return Err(refuse(format!(
            "line {}: {}",
            problem.line, problem.message
        )));
    }
    let mut sections =
        read_sections(&ini, figment::Figment::new()).map_err(|error| refuse(error.to_string()))?;
    Ok(sections.remove("default").unwrap_or(nothing))
}
