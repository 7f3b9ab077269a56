//! Which PostgreSQL of this machine is used.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::account::Account;

const INSTALL: &str = "install the PostgreSQL server (Debian, Ubuntu: apt-get install postgresql) or name its folder with --pg-bin";

/// The folder of `initdb` and `postgres`: the one asked for, else from `PATH`, else the newest in
/// `/usr/lib/postgresql`; with data present, the first of these that has their version.
pub(crate) fn server(
    asked: Option<&Path>,
    data: &Path,
    account: &Account,
) -> anyhow::Result<PathBuf> {
    let wanted = written_by(data)?;
    let folders = match asked {
        Some(folder) => {
            // The server is started in another folder than ours.
            let folder = std::path::absolute(folder)?;
            ensure!(
                holds_server(&folder),
                "{} does not hold initdb and postgres",
                folder.display()
            );
            vec![folder]
        }
        None => on_path()
            .chain(of_debian(Path::new("/usr/lib/postgresql")))
            .filter(|f| holds_server(f))
            .collect(),
    };
    ensure!(
        !folders.is_empty(),
        "no PostgreSQL server found on PATH or in /usr/lib/postgresql: {INSTALL}"
    );

    let mut refused = Vec::new();
    for folder in folders {
        if !account.can_reach(&folder.join("postgres")) {
            refused.push(format!(
                "{} (user {} cannot reach it)",
                folder.display(),
                account.name()
            ));
            continue;
        }
        let version = major_version(&folder)?;
        match wanted {
            Some(wanted) if wanted != version => {
                refused.push(format!("{} (version {version})", folder.display()))
            }
            _ => return Ok(folder),
        }
    }
    let refused = refused.join(", ");
    match wanted {
        Some(wanted) => bail!(
            "the data in {} need PostgreSQL {wanted}; found only {refused}: install version {wanted} or name its folder with --pg-bin",
            data.display()
        ),
        None => bail!("no usable PostgreSQL server, only {refused}: {INSTALL}"),
    }
}

/// The major version in `PG_VERSION`; `None` when there are no data yet.
fn written_by(data: &Path) -> anyhow::Result<Option<u32>> {
    let file = data.join("PG_VERSION");
    match std::fs::read_to_string(&file) {
        Ok(text) => {
            Ok(Some(text.trim().parse().with_context(|| {
                format!("{} holds no version", file.display())
            })?))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

/// A client package brings neither program, some brings only one: both are needed.
fn holds_server(folder: &Path) -> bool {
    folder.join("initdb").is_file() && folder.join("postgres").is_file()
}

fn on_path() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .collect::<Vec<_>>()
        .into_iter()
}

/// `/usr/lib/postgresql/17/bin`, `…/15/bin`: newest first, compared as numbers.
fn of_debian(root: &Path) -> Vec<PathBuf> {
    let mut versions: Vec<u32> = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions
        .into_iter()
        .map(|version| root.join(version.to_string()).join("bin"))
        .collect()
}

fn major_version(folder: &Path) -> anyhow::Result<u32> {
    let program = folder.join("postgres");
    let output = Command::new(&program)
        .arg("--version")
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_version(&text)
        .with_context(|| format!("{} --version printed {text:?}", program.display()))
}

/// `postgres (PostgreSQL) 15.18 (Debian …)` is 15, `… 18beta1` is 18.
fn parse_version(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("(PostgreSQL) ")?;
    let digits = version
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(version.len());
    version[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_the_program_prints() {
        let check = |text, expected| assert_eq!(parse_version(text), expected, "{text}");
        check(
            "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n",
            Some(15),
        );
        check("postgres (PostgreSQL) 18beta1\n", Some(18));
        check("postgres (PostgreSQL) 9", Some(9));
        check("postgres (PostgreSQL) devel", None);
        check("postgres 15", None);
    }

    #[test]
    fn newest_is_a_number_not_a_word() {
        let root = tempfile::tempdir().expect("a temporary folder");
        for name in ["9", "17", "15", "lib"] {
            std::fs::create_dir(root.path().join(name)).expect("a new folder");
        }
        let found: Vec<_> = of_debian(root.path());
        assert_eq!(
            found,
            ["17/bin", "15/bin", "9/bin"].map(|name| root.path().join(name))
        );
    }

    #[test]
    fn a_folder_counts_only_with_both_programs() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("postgres"), "").expect("a new file");
        assert!(!holds_server(folder.path()));
        std::fs::write(folder.path().join("initdb"), "").expect("a new file");
        assert!(holds_server(folder.path()));
    }
}
