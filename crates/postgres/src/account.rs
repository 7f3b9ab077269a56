//! Under which account the server runs: PostgreSQL refuses to run as root.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use nix::unistd::{Gid, Uid, User};

/// The account of the server, and whether we must switch to it.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    name: String,
    uid: Uid,
    gid: Gid,
    /// True when we are root and the server must not be.
    switch: bool,
}

impl Account {
    /// An ordinary user's server runs as that user. Root's runs as the owner of the data that are there already (they
    /// may be older than the user `postgres`), else as `postgres`, which Debian's package makes, else as `nobody`.
    pub(crate) fn for_data(data: &Path) -> anyhow::Result<Self> {
        let me = Uid::effective();
        if !me.is_root() {
            return Ok(Self {
                name: "the current user".to_owned(),
                uid: me,
                gid: Gid::effective(),
                switch: false,
            });
        }
        let owner = std::fs::metadata(data)
            .ok()
            .map(|data| Uid::from_raw(data.uid()))
            .filter(|uid| !uid.is_root());
        let user = match owner {
            // initdb and postgres look their own user up, so an owner without a passwd entry is of no use.
            Some(uid) => User::from_uid(uid)?
                .with_context(|| format!("{} belongs to user id {uid}, which has no name here", data.display()))?,
            None => match User::from_name("postgres")? {
                Some(user) => user,
                None => User::from_name("nobody")?
                    .context("PostgreSQL cannot run as root, and there is neither a user `postgres` nor `nobody`")?,
            },
        };
        Ok(Self {
            name: user.name,
            uid: user.uid,
            gid: user.gid,
            switch: true,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A command that runs as this account, in `/` (the current folder may be one it cannot enter), with an
    /// environment that the user's `PG…` settings and locale do not reach.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir("/")
            .env_clear()
            .env("LC_ALL", "C")
            .env("TZ", "UTC");
        for kept in ["PATH", "LD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        if self.switch {
            // With a uid and as root, std drops the supplementary groups as well.
            command.uid(self.uid.as_raw()).gid(self.gid.as_raw());
        }
        command
    }

    /// Makes `path` this account's and nobody else's.
    pub(crate) fn take_over(&self, path: &Path) -> anyhow::Result<()> {
        if self.switch {
            std::os::unix::fs::chown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
                .with_context(|| format!("cannot give {} to user {}", path.display(), self.name))?;
        }
        crate::place::set_mode(path, 0o700)
    }

    /// Whether `path` is this account's own, as [`Account::take_over`] leaves it.
    pub(crate) fn owns_privately(&self, path: &Path) -> bool {
        // Not following a link: in a folder that everybody may write to, it would be somebody else's.
        std::fs::symlink_metadata(path).is_ok_and(|found| {
            found.is_dir() && found.uid() == self.uid.as_raw() && found.mode() & 0o077 == 0
        })
    }

    /// Whether this account may pass through every folder above `path`. Those that do not exist yet do not count:
    /// whoever creates them decides. Nor does `path` itself when it is a folder: its mode is ours to set.
    pub(crate) fn can_reach(&self, path: &Path) -> bool {
        if !self.switch {
            return true;
        }
        // Links resolved: every folder on the real way counts.
        let Some(real) = path
            .ancestors()
            .find_map(|existing| existing.canonicalize().ok())
        else {
            return false;
        };
        let ours = usize::from(path.is_dir());
        real.ancestors().skip(ours).all(|folder| {
            std::fs::metadata(folder).is_ok_and(|found| {
                may_enter(
                    found.mode(),
                    found.uid(),
                    found.gid(),
                    self.uid.as_raw(),
                    self.gid.as_raw(),
                )
            })
        })
    }
}

/// The classic permission rule: the first class that fits decides, even if a later one would allow more.
fn may_enter(mode: u32, owner: u32, group: u32, uid: u32, gid: u32) -> bool {
    let class = if owner == uid {
        mode >> 6
    } else if group == gid {
        mode >> 3
    } else {
        mode
    };
    class & 0o1 != 0
}

#[cfg(test)]
mod tests {
    use super::may_enter;

    #[test]
    fn the_first_class_that_fits_decides() {
        let check =
            |mode, expected| assert_eq!(may_enter(mode, 10, 20, 10, 20), expected, "{mode:o}");
        check(0o700, true);
        check(0o077, false);
        assert!(may_enter(0o710, 0, 20, 10, 20));
        assert!(!may_enter(0o701, 0, 20, 10, 20));
        assert!(may_enter(0o701, 0, 0, 10, 20));
        assert!(!may_enter(0o700, 0, 0, 10, 20));
    }
}
