//! Where things lie: `DIR/data`, `DIR/run` (the socket), `DIR/postgres.log`, `DIR/lock`.
//!
//! Data and socket are the server's account's, the rest is ours; so a server that was taken over cannot make a
//! process of root's write through a link.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use nix::unistd::Uid;
use sha2::{Digest as _, Sha256};

use crate::Notice;
use crate::account::Account;

/// Where root's data go when the folder asked for cannot be reached by the server's account.
const ELSEWHERE: &str = "/var/lib/stalker";
/// A socket's address holds 107 bytes; we stay below 100 because clients add suffixes while they connect.
const LONGEST_SOCKET: usize = 100;

/// The folder of one private PostgreSQL, absolute.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    dir: PathBuf,
}

impl Place {
    /// Decides where the data are or shall be, and creates that folder.
    pub(crate) fn choose(asked: &Path, notice: &Notice) -> anyhow::Result<Self> {
        let asked = Self {
            dir: std::path::absolute(asked)?,
        };
        let elsewhere = Self {
            dir: Path::new(ELSEWHERE).join(format!("pg-{}", asked.hash())),
        };
        let account = Account::for_data(&asked.data())?;
        let place = if elsewhere.has_data() {
            // Once there, always there: otherwise a changed permission would look like lost data.
            elsewhere
        } else if account.can_reach(&asked.dir) {
            return asked.create();
        } else {
            ensure!(
                !asked.has_data(),
                "{} holds data, but user {} cannot reach it: allow that user to pass through the folders above it",
                asked.dir.display(),
                account.name()
            );
            elsewhere
        };
        notice(&format!(
            "PostgreSQL runs as user {}, which cannot reach {}: its data are in {}",
            account.name(),
            asked.dir.display(),
            place.dir.display()
        ));
        // Whatever the umask says: the folder above must let the server's account pass.
        fs::create_dir_all(ELSEWHERE).with_context(|| format!("cannot create {ELSEWHERE}"))?;
        let mode = fs::metadata(ELSEWHERE)?.permissions().mode();
        set_mode(Path::new(ELSEWHERE), mode | 0o111)?;
        let place = place.create()?;
        // The name is a hash, so that it fits any path; this tells a person whose it is.
        let origin = place.dir.join("origin");
        fs::write(&origin, asked.dir.as_os_str().as_bytes())
            .with_context(|| format!("cannot write {}", origin.display()))?;
        Ok(place)
    }

    /// The place that [`Place::choose`] decided on.
    pub(crate) fn at(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    fn create(self) -> anyhow::Result<Self> {
        fs::create_dir_all(&self.dir)
            .with_context(|| format!("cannot create {}", self.dir.display()))?;
        // Root's is passed through by the server's account, but not read by it.
        set_mode(
            &self.dir,
            if Uid::effective().is_root() {
                0o711
            } else {
                0o700
            },
        )?;
        // From now on without links: the server is recognised by this very path.
        let dir = self
            .dir
            .canonicalize()
            .with_context(|| format!("cannot open {}", self.dir.display()))?;
        Ok(Self { dir })
    }

    /// Makes the folder of the socket. Its mode is the whole protection of a server that trusts whoever connects.
    pub(crate) fn prepare(&self, account: &Account) -> anyhow::Result<()> {
        let run = self.socket_dir();
        match fs::DirBuilder::new().mode(0o700).create(&run) {
            Ok(()) => account.take_over(&run),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                ensure!(
                    account.owns_privately(&run),
                    "{} must be a folder of user {} with mode 0700, and is not: remove it",
                    run.display(),
                    account.name()
                );
                Ok(())
            }
            Err(error) => Err(error).with_context(|| format!("cannot create {}", run.display())),
        }
    }

    /// Removes what no later start needs: a socket's folder outside ours, and ours as well if it is temporary.
    pub(crate) fn clean_up(&self, remove_all: bool) -> std::io::Result<()> {
        if !self.socket_dir().starts_with(&self.dir) {
            fs::remove_dir_all(self.socket_dir())?;
        }
        if remove_all {
            fs::remove_dir_all(&self.dir)?;
        }
        Ok(())
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.dir.join("postgres.log")
    }

    pub(crate) fn lock_file(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// The same at every start, so that a client's URL stays good.
    pub(crate) fn socket_dir(&self) -> PathBuf {
        let beside = self.dir.join("run");
        if beside.join(".s.PGSQL.5432").as_os_str().len() < LONGEST_SOCKET {
            beside
        } else {
            // Not TMPDIR: it may be as long, and differ from start to start.
            Path::new("/tmp").join(format!("stalker-pg-{}", self.hash()))
        }
    }

    pub(crate) fn has_data(&self) -> bool {
        self.data().join("PG_VERSION").exists()
    }

    /// Twelve hex digits that stand for the path, the same for every version of this program.
    fn hash(&self) -> String {
        Sha256::digest(self.dir.as_os_str().as_bytes())
            .iter()
            .take(6)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// Sets the permission bits of `path`.
pub(crate) fn set_mode(path: &Path, mode: u32) -> anyhow::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("cannot set the mode of {} to {mode:o}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_has_its_socket_elsewhere_and_always_at_the_same_place() {
        assert_eq!(
            Place::at(Path::new("/srv/pg")).socket_dir(),
            Path::new("/srv/pg/run")
        );
        let long = Place::at(&Path::new("/srv").join("x".repeat(90)));
        assert_eq!(long.socket_dir(), Path::new("/tmp/stalker-pg-551f0c73098f"));
    }
}
