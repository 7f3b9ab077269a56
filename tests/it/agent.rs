//! The real agent: real scripts over HTTPS, and its registrations at a receiver that stands for the server.

mod limits;
mod memory;
mod registration;
mod scripts;
mod start;
mod tls;
mod unprivileged;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use reqwest::{Client, Method, Response};
use serde_json::Value;
use stalker_tests::executables;
use stalker_tests::process::{Process, command};
use stalker_tests::receiver::{Received, Receiver};
use stalker_tests::until::until;
use tempfile::TempDir;

const REGISTER_KEY: &str = "register-key-of-the-tests";
const CHECK_KEY: &str = "check-key-of-the-tests";

/// Generous, since several tests share two cores.
const START: Duration = Duration::from_secs(20);
/// A changed set of checks is registered within this.
const CHANGE: Duration = Duration::from_secs(5);

/// A monitored host: its configuration, its scripts, and the server that it registers with.
struct Host {
    folder: TempDir,
    server: Receiver,
}

/// A running agent. Dropped, it is killed.
struct Agent {
    process: Process,
    ready: Value,
    client: Client,
}

struct Answer {
    status: u16,
    length: Option<u64>,
    body: String,
}

impl Host {
    async fn new() -> Self {
        let host = Self {
            folder: tempfile::tempdir().expect("a temporary folder can be made"),
            server: Receiver::start().await,
        };
        fs::create_dir(host.path("scripts")).expect("a folder can be made");
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A drop-in that `/bin/sh` runs.
    fn script(&self, name: &str, body: &str) {
        self.file(name, &format!("#!/bin/sh\n{body}\n"));
    }

    /// A drop-in, whole from its first moment on.
    fn file(&self, name: &str, content: &str) {
        let hidden = self.path(name);
        fs::write(&hidden, content).expect("a file can be written");
        executable(&hidden);
        fs::rename(&hidden, self.path("scripts").join(name)).expect("a file can be moved");
    }

    /// Writes the configuration: what every test needs in `[main]`, then `more`.
    fn configure(&self, more: &str) {
        let text = format!(
            "[main]\nlisten_addr = 127.0.0.1\nlisten_port = 0\nmaster_url = {}\nregister_key = {REGISTER_KEY}\n\
             hostname = web1\nscript_dir = {}\nstate_dir = {}\n{more}",
            self.server.url(),
            self.path("scripts").display(),
            self.path("state").display(),
        );
        fs::write(self.path("agent.conf"), text).expect("the configuration can be written");
    }

    /// Starts the agent and waits until it listens.
    async fn start(&self) -> Agent {
        self.start_with(&[]).await
    }

    async fn start_with(&self, environment: &[(&str, &str)]) -> Agent {
        let mut start = command(&executables::stalker_agent());
        start
            .args(["start", "--foreground", "--conf"])
            .arg(self.path("agent.conf"));
        start.envs(environment.iter().copied());
        self.up(&mut start).await
    }

    /// Starts an agent of this host by `start`, and waits until it listens.
    async fn up(&self, start: &mut Command) -> Agent {
        let mut process = Process::start("agent", start);
        let file = self.path("state/ready.json");
        let ready = until("the agent listens", START, async || {
            assert!(
                process.is_running(),
                "the agent has ended:\n{}",
                process.output()
            );
            serde_json::from_slice(&fs::read(&file).ok()?).ok()
        })
        .await;
        let client = Client::builder()
            .tls_backend_preconfigured(tls::trusting())
            .no_proxy()
            .build()
            .expect("a client can be made");
        Agent {
            process,
            ready,
            client,
        }
    }

    /// Starts the agent where it must refuse, and returns what it says.
    async fn refusal(&self) -> String {
        let mut start = command(&executables::stalker_agent());
        start.arg("--config").arg(self.path("agent.conf"));
        let mut process = Process::start("agent", &mut start);
        assert!(!process.ended(START).await.success());
        process.output()
    }

    /// Waits for an accepted registration that is `good`.
    async fn registered(&self, what: &str, good: impl Fn(&Value) -> bool) -> Received {
        let found = async || {
            self.server
                .accepted()
                .into_iter()
                .rev()
                .find(|request| good(&request.body))
        };
        until(what, START, found).await
    }
}

impl Agent {
    fn url(&self, path: &str) -> String {
        let agent = self.ready["agent"]
            .as_str()
            .expect("ready.json says where the agent listens");
        format!("{agent}{path}")
    }

    async fn send(&self, method: Method, path: &str, key: &str) -> reqwest::Result<Response> {
        self.client
            .request(method, self.url(path))
            .header("X-CHECK-KEY", key)
            .send()
            .await
    }

    async fn get(&self, path: &str) -> Answer {
        answer(
            self.send(Method::GET, path, CHECK_KEY)
                .await
                .expect("the agent answers"),
        )
        .await
    }

    /// Runs a check and returns what the script left.
    async fn run(&self, check: &str) -> Value {
        let answer = self.get(&format!("/{check}")).await;
        assert_eq!(answer.status, 200, "{check}: {}", answer.body);
        serde_json::from_str::<Value>(&answer.body).expect("the answer is JSON")[check].take()
    }

    /// A line of `/proc/PID/status`, in KiB.
    fn memory_kib(&self, line: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.pid()))
            .expect("the agent runs");
        let value = status
            .lines()
            .find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
        let value = value.and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok());
        value.unwrap_or_else(|| panic!("{line} is not in {status}"))
    }

    async fn terminate(&mut self) {
        let ended = self.process.terminate(Duration::from_secs(10)).await;
        assert!(ended.success(), "{ended}");
    }

    fn hangup(&self) {
        self.process.signal(Signal::SIGHUP);
    }
}

async fn answer(response: Response) -> Answer {
    let (status, length) = (response.status().as_u16(), response.content_length());
    let body = response.text().await.expect("the body arrives");
    Answer {
        status,
        length,
        body,
    }
}

fn executable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode can be set");
}

/// The names of the checks of a registration.
fn names(registration: &Value) -> Vec<&str> {
    registration["checks"]
        .as_object()
        .map(|checks| checks.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

/// `check_key` as every test but those of keys has it.
fn with_key(more: &str) -> String {
    format!("check_key = {CHECK_KEY}\n{more}")
}
