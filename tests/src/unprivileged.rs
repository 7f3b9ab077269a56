//! The executables under test run by a user who is not root.
//!
//! CI is root, a developer is not. Root's processes are started as `nobody`, from a folder that `nobody` can reach;
//! everybody else's are started as they are, and show the same.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Uid, User};
use tempfile::TempDir;

use crate::private_postgres::reachable_folder;
use crate::process::command;

/// An account without privileges, and executables that it can start.
#[derive(Debug)]
pub struct Unprivileged {
    /// Whom to become; nobody else where we are not root ourselves.
    becomes: Option<User>,
    executables: TempDir,
}

impl Unprivileged {
    /// Puts `executables` where the account can start them: side by side, as they look for each other.
    ///
    /// # Panics
    /// If we are root and there is no user `nobody`, or no room for the executables.
    #[must_use]
    pub fn with(executables: &[PathBuf]) -> Self {
        let becomes = Uid::effective().is_root().then(|| {
            User::from_name("nobody")
                .expect("users can be looked up")
                .expect("root needs a user `nobody` to start this as")
        });
        let folder = reachable_folder();
        for executable in executables {
            let name = executable.file_name().expect("an executable has a name");
            let there = folder.path().join(name);
            // A link costs nothing, but must stay within a file system.
            fs::hard_link(executable, &there)
                .or_else(|_| fs::copy(executable, &there).map(drop))
                .expect("an executable can be copied");
        }
        Self {
            becomes,
            executables: folder,
        }
    }

    /// The id of the user that commands are started as.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.becomes
            .as_ref()
            .map_or_else(Uid::effective, |user| user.uid)
            .as_raw()
    }

    /// Gives the account a file or a folder, without what is in it.
    ///
    /// # Panics
    /// If it is not ours to give.
    pub fn give(&self, path: &Path) {
        if let Some(user) = &self.becomes {
            chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .expect("root may give away what it owns");
        }
    }

    /// A folder of the account's own, which it can reach.
    ///
    /// # Panics
    /// If there is no room for temporary files.
    #[must_use]
    pub fn folder(&self) -> TempDir {
        let folder = reachable_folder();
        self.give(folder.path());
        folder
    }

    /// A command that runs the executable of this name as the account, with `home` as its home.
    #[must_use]
    pub fn command(&self, name: &str, home: &Path) -> Command {
        let mut command = command(&self.executables.path().join(name));
        command.env("HOME", home).current_dir("/");
        if let Some(user) = &self.becomes {
            // With a uid and as root, std drops the supplementary groups as well.
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
            command.env("USER", &user.name);
        }
        command
    }

    /// Expects that a process is the account's, and has no capability of root's.
    ///
    /// # Panics
    /// If it is not so, or if there is no such process.
    pub fn runs(&self, pid: u32) {
        let status =
            fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
        let line = |name: &str| -> Vec<&str> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.expect("Linux tells it").split_whitespace().collect()
        };
        assert_ne!(self.uid(), 0, "root was to become somebody else");
        let uid = self.uid().to_string();
        assert_eq!(line("Uid:"), [&uid; 4], "real, effective, saved, files'");
        let capabilities = u64::from_str_radix(line("CapEff:")[0], 16);
        assert_eq!(capabilities, Ok(0), "effective capabilities");
    }
}
