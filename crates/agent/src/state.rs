//! What the agent makes and keeps in `state_dir`. Everything there is written whole or not at all, and private.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rand::TryRngCore;
use rand::rngs::OsRng;
use serde::Serialize;

/// The folder.
pub(crate) struct StateDir(PathBuf);

/// What other programs read to find a running agent.
#[derive(Serialize)]
pub(crate) struct Ready {
    /// Where to call it.
    pub(crate) agent: String,
    pub(crate) pid: u32,
    /// Lower-case hex SHA-256 over the leaf certificate's DER.
    pub(crate) cert_sha256: String,
}

impl StateDir {
    /// Makes the folder, 0700, if it is not there.
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| format!("cannot make state_dir {}", dir.display()))?;
        Ok(Self(dir.to_owned()))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file's text, or nothing if there is no such file.
    pub(crate) fn read(&self, name: &str) -> anyhow::Result<Option<String>> {
        let path = self.path(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.path(name);
        let write = || {
            let temporary = self.path(&format!(".{name}.{}", std::process::id()));
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// The key with which this host is called when none is configured: made once, 256 bits as hex.
    pub(crate) fn check_key(&self) -> anyhow::Result<String> {
        const NAME: &str = "check_key";
        if let Some(key) = self
            .read(NAME)?
            .map(|text| text.trim().to_owned())
            .filter(|key| !key.is_empty())
        {
            return Ok(key);
        }
        let mut bytes = [0; 32];
        OsRng
            .try_fill_bytes(&mut bytes)
            .context("the system gives no random bytes for a check_key")?;
        let key = hex(&bytes);
        self.write(NAME, &key)?;
        Ok(key)
    }

    /// What shows the server that this is the agent that has registered its name before.
    pub(crate) fn token(&self) -> anyhow::Result<Option<String>> {
        let token = self.read(TOKEN)?.map(|text| text.trim().to_owned());
        Ok(token.filter(|token| !token.is_empty()))
    }

    /// Keeps the token that the server gave.
    pub(crate) fn keep_token(&self, token: &str) -> anyhow::Result<()> {
        self.write(TOKEN, token)
    }

    /// Says that the agent listens.
    pub(crate) fn announce(&self, ready: &Ready) -> anyhow::Result<()> {
        let text = serde_json::to_string(ready).context("cannot write ready.json")?;
        self.write(READY, &text)
    }

    /// Says that it does not, or not yet: one that was killed left its file.
    pub(crate) fn withdraw(&self) {
        // Nothing to withdraw is the ordinary case.
        let _ = fs::remove_file(self.path(READY));
    }
}

const TOKEN: &str = "token";
const READY: &str = "ready.json";

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
