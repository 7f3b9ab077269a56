//! The home: one folder with all that `stalkerd up` keeps. Every secret in it is made here, and is nobody's default.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::private_file;
use crate::settings::Settings;

const EXAMPLE: &str = include_str!("check_example.sh");
const EXAMPLE_CFG: &str = include_str!("check_example.cfg");

/// The folder, by absolute path.
pub(crate) struct Home {
    dir: PathBuf,
}

impl Home {
    /// Makes what is missing; what is there is left alone.
    pub(crate) fn prepare(dir: &Path) -> anyhow::Result<Self> {
        // Others may pass through, for the database's account must; secrets are 0600 each.
        fs::create_dir_all(dir)
            .with_context(|| format!("cannot make the home {}", dir.display()))?;
        let dir = dir
            .canonicalize()
            .with_context(|| format!("cannot find the home {}", dir.display()))?;
        let home = Self { dir };
        for folder in [home.agent_dir(), home.scripts_dir(), home.log_dir()] {
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        if !home.settings_file().exists() {
            home.make_settings()?;
        }
        home.make_example()?;
        Ok(home)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn settings_file(&self) -> PathBuf {
        self.dir.join("stalkerd.toml")
    }

    pub(crate) fn client_file(&self) -> PathBuf {
        self.dir.join("stalker-client.conf")
    }

    pub(crate) fn ready_file(&self) -> PathBuf {
        self.dir.join("ready.json")
    }

    /// Takes the ready file back, for it says that all of it runs; unless it is another `up`'s.
    pub(crate) fn withdraw_ready_file(&self) {
        let ready = fs::read(self.ready_file()).unwrap_or_default();
        let ready: serde_json::Value = serde_json::from_slice(&ready).unwrap_or_default();
        if ready["pid"] == std::process::id() {
            fs::remove_file(self.ready_file()).ok();
        }
    }

    pub(crate) fn postgres_dir(&self) -> PathBuf {
        self.dir.join("pg")
    }

    pub(crate) fn agent_dir(&self) -> PathBuf {
        self.dir.join("agent")
    }

    pub(crate) fn scripts_dir(&self) -> PathBuf {
        self.dir.join("scripts")
    }

    pub(crate) fn log_dir(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// The file whose presence makes the example check fail.
    pub(crate) fn broken_file(&self) -> PathBuf {
        self.dir.join("broken")
    }

    /// The original's two lines, with which the command line finds the API.
    pub(crate) fn write_client_configuration(
        &self,
        api: SocketAddr,
        settings: &Settings,
    ) -> anyhow::Result<()> {
        let key = settings.api.api_key.as_deref().unwrap_or_default();
        private_file::write(
            &self.client_file(),
            &format!("stalkerweb_url=http://{api}\nstalkerweb_api_key={key}\n"),
        )
    }

    fn make_settings(&self) -> anyhow::Result<()> {
        let text = format!(
            "# Settings of this home's stalkerd, on top of the defaults (`stalkerd config` prints what is in force).\n\
             # The keys were made at the first start; agents and clients show them.\n\
             [api]\n\
             register_key = \"{}\"\n\
             api_key = \"{}\"\n\
             \n\
             [worker]\n\
             check_key = \"{}\"\n\
             \n\
             # Where alerts are told:\n\
             # [channels.oncall]\n\
             # provider = \"http\"\n\
             # url = \"https://example.net/events\"\n",
            fresh_key(),
            fresh_key(),
            fresh_key()
        );
        private_file::write(&self.settings_file(), &text)
    }

    fn make_example(&self) -> anyhow::Result<()> {
        let script = self.scripts_dir().join("check_example");
        if script.exists() {
            return Ok(());
        }
        fs::write(self.scripts_dir().join("check_example.cfg"), EXAMPLE_CFG)?;
        fs::write(
            &script,
            EXAMPLE.replace("@FILE@", &self.broken_file().to_string_lossy()),
        )?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot make {}", script.display()))
    }
}

/// 256 random bits in hex.
fn fresh_key() -> String {
    rand::random::<[u8; 32]>()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
