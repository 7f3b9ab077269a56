//! The executables under test, and the refusal to test stale ones.
//!
//! Cargo does not build another package's executables for a test, and a test that runs yesterday's tells lies.
//! So they come from `STALKER_TEST_BIN` alone, and each must be younger than what it was built from.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The server, `stalkerd`.
#[must_use]
pub fn stalkerd() -> PathBuf {
    fresh("stalkerd")
}

/// The agent, `stalker-agent`.
#[must_use]
pub fn stalker_agent() -> PathBuf {
    fresh("stalker-agent")
}

/// The command line, `stalker`.
#[must_use]
pub fn stalker() -> PathBuf {
    fresh("stalker")
}

/// The private PostgreSQL, `stalker-postgres`.
#[must_use]
pub fn stalker_postgres() -> PathBuf {
    fresh("stalker-postgres")
}

/// The benchmark, `stalker-bench`.
#[must_use]
pub fn stalker_bench() -> PathBuf {
    fresh("stalker-bench")
}

/// The folder of this checkout: migrations, shipped scripts, documents.
#[must_use]
pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is a folder of the checkout")
}

fn fresh(name: &str) -> PathBuf {
    let folder = std::env::var_os("STALKER_TEST_BIN")
        .expect("STALKER_TEST_BIN is not set: it names the folder of the executables under test. Run `make test`, which builds them and sets it");
    let executable = Path::new(&folder).join(name);
    match refusal(&executable) {
        None => executable,
        Some(reason) => panic!(
            "{} {reason}: run `make test`, which builds it first",
            executable.display()
        ),
    }
}

/// Why an executable is not to be tested, if so.
fn refusal(executable: &Path) -> Option<String> {
    let Some(built) = modified(executable) else {
        return Some("does not exist".to_owned());
    };
    let newer = sources(executable)
        .into_iter()
        .find(|source| modified(source).is_some_and(|changed| changed > built));
    newer.map(|source| format!("is older than {}", source.display()))
}

/// What the executable was built from. Cargo lists it in a file beside the executable; that is exact, where the whole of
/// crates/ would refuse an agent because of an edit in the API. One that was moved has no list, and is held against
/// everything.
fn sources(executable: &Path) -> Vec<PathBuf> {
    if let Ok(list) = fs::read_to_string(executable.with_extension("d")) {
        return dependencies(&list);
    }
    let mut files = vec![checkout().join("Cargo.lock")];
    walk(&checkout().join("crates"), &mut files);
    walk(&checkout().join("migrations"), &mut files);
    files
}

/// The paths of a make rule, `target: path path …`, in which a blank within a path is escaped.
fn dependencies(rule: &str) -> Vec<PathBuf> {
    let paths = rule
        .split_once(": ")
        .map_or("", |(_, paths)| paths)
        .trim_end();
    paths
        .replace("\\ ", "\0")
        .split(' ')
        .filter(|path| !path.is_empty())
        .map(|path| path.replace('\0', " ").into())
        .collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder)
        .expect("the checkout can be read")
        .flatten()
    {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, files);
        } else if matches!(
            path.extension().and_then(OsStr::to_str),
            Some("rs" | "sql" | "toml")
        ) {
            files.push(path);
        }
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_stale_executable_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (executable, source) = (
            folder.path().join("stalkerd"),
            folder.path().join("a source.rs"),
        );
        assert_eq!(refusal(&executable).as_deref(), Some("does not exist"));

        let at = |path: &Path, s: u64| {
            let file = fs::File::create(path).expect("a file can be made");
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(s))
                .expect("its time can be set");
        };
        at(&source, 2);
        let list = format!(
            "{}: /gone.rs {}\n",
            executable.display(),
            source.display().to_string().replace(' ', "\\ ")
        );
        fs::write(executable.with_extension("d"), list).expect("a list can be written");
        at(&executable, 3);
        assert_eq!(refusal(&executable), None);
        at(&executable, 1);
        assert_eq!(
            refusal(&executable),
            Some(format!("is older than {}", source.display()))
        );

        fs::remove_file(executable.with_extension("d")).expect("the list can be removed");
        assert!(
            refusal(&executable).is_some(),
            "without a list everything counts"
        );
    }
}
