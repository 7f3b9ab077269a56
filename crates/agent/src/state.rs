//! What the agent makes and keeps in `state_dir`. Everything there is written whole or not at all, and private.

use std::collections::BTreeMap;
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

    /// What shows a server that this is the agent that has registered this name there before.
    pub(crate) fn token(&self, server: &str, hostname: &str) -> anyhow::Result<Option<String>> {
        let mut tokens = self.tokens()?;
        if let Some(token) = tokens.remove(&whose(server, hostname)) {
            return Ok(Some(token));
        }
        // a server may have another address than before: its only token is still worth a try
        let here = whose("", hostname);
        let mut of_name = tokens
            .into_iter()
            .filter(|(whose, _)| whose.starts_with(&here));
        if let (Some((_, token)), None) = (of_name.next(), of_name.next()) {
            return Ok(Some(token));
        }
        // an older agent had one for all
        let older = self.read("token")?.map(|text| text.trim().to_owned());
        Ok(older.filter(|token| !token.is_empty()))
    }

    /// Keeps the token that a server gave. Those of others stay: a host that is called something else for a while is to find
    /// its own name again.
    pub(crate) fn keep_token(
        &self,
        server: &str,
        hostname: &str,
        token: &str,
    ) -> anyhow::Result<()> {
        let mut tokens = self.tokens()?;
        tokens.insert(whose(server, hostname), token.to_owned());
        let text = serde_json::to_string_pretty(&tokens).context("cannot write tokens")?;
        self.write(TOKENS, &text)
    }

    fn tokens(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let Some(text) = self.read(TOKENS)? else {
            return Ok(BTreeMap::new());
        };
        let tokens = serde_json::from_str(&text);
        tokens.with_context(|| format!("{} is damaged", self.path(TOKENS).display()))
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

const TOKENS: &str = "tokens.json";
const READY: &str = "ready.json";

fn whose(server: &str, hostname: &str) -> String {
    format!("{hostname} at {}", server.trim_end_matches('/'))
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
