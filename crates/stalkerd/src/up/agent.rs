//! The one agent of this machine, as a child process: another machine's agent would be no different.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, ChildStdin, Command};
use tokio_util::sync::CancellationToken;

use super::home::Home;
use crate::settings::Settings;

/// Where distributions put the monitoring plugins.
const PLUGINS: [&str; 3] = [
    "/usr/lib/nagios/plugins",
    "/usr/lib64/nagios/plugins",
    "/usr/lib/monitoring-plugins",
];
/// How long an agent may take to end by itself: its scripts have 5 s.
const PATIENCE: Duration = Duration::from_secs(8);

/// The running agent.
pub(super) struct Agent {
    url: String,
    keeper: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
}

impl Agent {
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Ends it and waits for that.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        // its panic was printed
        let _ = self.keeper.await;
    }
}

/// Starts the agent, waits until it listens, and starts it again whenever it ends.
pub(super) async fn start(
    home: &Home,
    settings: &Settings,
    api: SocketAddr,
    port: u16,
    shutdown: &CancellationToken,
) -> anyhow::Result<Agent> {
    let config = home.agent_dir().join("stalker-agent.conf");
    std::fs::write(&config, configuration(home, api, port))
        .with_context(|| format!("cannot write {}", config.display()))?;
    let executable = std::env::current_exe()?.with_file_name("stalker-agent");
    ensure!(
        executable.is_file(),
        "{} is missing: build it too (cargo build --bins)",
        executable.display()
    );

    let ready_file = home.agent_dir().join("ready.json");
    std::fs::remove_file(&ready_file).ok();
    let command = {
        let register_key = settings.api.register_key.clone().unwrap_or_default();
        let check_key = settings.worker.check_key.clone();
        move || {
            let mut command = Command::new(&executable);
            command.arg("--config").arg(&config);
            // a key on the command line or in a file that others may read would be one that others know
            command.env("STALKER_AGENT__MAIN__REGISTER_KEY", &register_key);
            if let Some(check_key) = &check_key {
                command.env("STALKER_AGENT__MAIN__CHECK_KEY", check_key);
            }
            // what is ours alone is none of a script's business
            for (name, _) in std::env::vars_os() {
                let text = name.to_string_lossy();
                if text == "DATABASE_URL" || text.starts_with("STALKER__") {
                    command.env_remove(&name);
                }
            }
            // a group of its own: Ctrl-C reaches us first, and we end it in its turn
            command
                .arg("--until-stdin-ends")
                .stdin(Stdio::piped())
                .process_group(0)
                .kill_on_drop(true);
            let mut agent = command
                .spawn()
                .with_context(|| format!("cannot start {}", executable.display()))?;
            let tether = agent
                .stdin
                .take()
                .context("the agent has no standard input")?;
            Ok(Tethered {
                agent,
                _tether: tether,
            })
        }
    };
    let mut tethered = command()?;
    let url = listening(&mut tethered.agent, &ready_file, shutdown).await?;
    let stop = CancellationToken::new();
    let keeper = tokio::spawn(keep(tethered, command, stop.clone()));
    Ok(Agent { url, keeper, stop })
}

/// Waits until the agent has written where it listens.
async fn listening(
    child: &mut Child,
    ready_file: &Path,
    shutdown: &CancellationToken,
) -> anyhow::Result<String> {
    for _ in 0..300 {
        if let Ok(text) = std::fs::read_to_string(ready_file)
            && let Ok(ready) = serde_json::from_str::<serde_json::Value>(&text)
            && let Some(url) = ready["agent"].as_str()
        {
            return Ok(url.to_owned());
        }
        if let Some(status) = child.try_wait()? {
            bail!(
                "the agent ended while starting ({status}), as it says above; another port: --agent-port"
            );
        }
        if shutdown
            .run_until_cancelled(tokio::time::sleep(Duration::from_millis(50)))
            .await
            .is_none()
        {
            bail!("stopped while starting");
        }
    }
    bail!("the agent did not listen within 15 s")
}

/// An agent that does not outlive us, however we end: it stops when its standard input does.
struct Tethered {
    agent: Child,
    _tether: ChildStdin,
}

async fn keep(
    mut tethered: Tethered,
    command: impl Fn() -> anyhow::Result<Tethered>,
    stop: CancellationToken,
) {
    let mut pause = Duration::from_secs(1);
    loop {
        let began = Instant::now();
        tokio::select! {
            () = stop.cancelled() => return end(tethered).await,
            status = tethered.agent.wait() => tracing::error!(?status, "the agent ended; starting it again in {pause:?}"),
        }
        if stop
            .run_until_cancelled(tokio::time::sleep(pause))
            .await
            .is_none()
        {
            return;
        }
        let was_well = began.elapsed() > Duration::from_secs(60);
        pause = if was_well {
            Duration::from_secs(1)
        } else {
            (pause * 2).min(Duration::from_secs(60))
        };
        match command() {
            Ok(again) => tethered = again,
            Err(error) => tracing::error!("{error:#}"),
        }
    }
}

async fn end(Tethered { mut agent, _tether }: Tethered) {
    if let Some(pid) = agent.id().and_then(|pid| i32::try_from(pid).ok()) {
        kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
    }
    if tokio::time::timeout(PATIENCE, agent.wait()).await.is_err() {
        tracing::warn!("the agent did not end within {PATIENCE:?}; killing it");
        agent.kill().await.ok();
    }
}

/// Checks of this machine with real plugins, and drop-ins from the home.
fn configuration(home: &Home, api: SocketAddr, port: u16) -> String {
    let mut text = format!(
        "# Written by `stalkerd up` at every start. Put checks of your own into {scripts}:\n\
         # any executable file there is a check of its name.\n\
         [main]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         master_url = http://{api}\n\
         script_dir = {scripts}\n\
         state_dir = {state}\n\
         log_path = {log}\n\
         roles = server\n\
         default_interval = 15\n",
        scripts = home.scripts_dir().display(),
        state = home.agent_dir().display(),
        log = home.log_dir().join("agent.log").display(),
    );
    let checks = [
        ("check_load", "-r -w 15,10,5 -c 30,20,10".to_owned()),
        ("check_disk", "-w 5% -c 2% -p /".to_owned()),
        ("check_procs", "-w 2000 -c 4000".to_owned()),
        (
            "check_http",
            format!("-H {} -p {} -u /healthz", api.ip(), api.port()),
        ),
    ];
    for (name, args) in checks {
        match PLUGINS
            .iter()
            .map(|folder| Path::new(folder).join(name))
            .find(|plugin| plugin.is_file())
        {
            Some(plugin) => {
                let _ = write!(
                    text,
                    "\n[{name}]\ncmd = {}\nargs = {args}\nfollow_up = 5\n",
                    plugin.display()
                );
            }
            None => tracing::warn!(
                "{name} is not installed (package monitoring-plugins-basic): left out"
            ),
        }
    }
    text
}
