//! Somebody at a desk: a home of their own, a shell, and what was said in it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use stalker_tests::executables;
use stalker_tests::process::command;
use tempfile::TempDir;

/// For one line of a shell.
const PATIENCE: Duration = Duration::from_secs(30);
/// The names by which the executable is called.
const NAMES: [&str; 3] = ["stalker", "stalker-client", "stalkly"];

pub(super) struct Desk {
    home: TempDir,
    environment: Vec<(String, String)>,
    transcript: Mutex<String>,
}

/// What a line of a shell has printed.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
}

impl Desk {
    /// Of somebody who has no server yet.
    pub(super) fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        let bin = home.path().join("bin");
        fs::create_dir(&bin).expect("a folder can be made");
        for name in NAMES {
            symlink(executables::stalker(), bin.join(name)).expect("a link can be made");
        }
        Self {
            home,
            environment: Vec::new(),
            transcript: Mutex::default(),
        }
    }

    /// Of somebody whose environment names a server and a key.
    pub(super) fn with_key(url: &str, key: &str) -> Self {
        Self::new()
            .variable("STALKER_URL", url)
            .variable("STALKER_API_KEY", key)
    }

    pub(super) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    /// A line of a shell, not started yet.
    pub(super) fn shell(&self, line: &str) -> Command {
        let bin = self.home().join("bin");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&path)))
            .expect("no folder has a colon in its name");
        let mut shell = command(Path::new("bash"));
        shell
            .args(["-c", line])
            .current_dir(self.home())
            .env("PATH", path)
            .env("HOME", self.home())
            .env("LOGNAME", "ann")
            .env_remove("USER")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        shell
    }

    /// Runs a line of a shell to its end, and keeps what it says.
    pub(super) async fn runs(&self, line: &str) -> Said {
        let said = self.runs_quietly(line).await;
        let mut transcript = self
            .transcript
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        transcript.push_str(&format!("$ {line}\n{}", said.out));
        for line in said.err.lines() {
            transcript.push_str(&format!("! {line}\n"));
        }
        if said.code != 0 {
            transcript.push_str(&format!("[{}]\n", said.code));
        }
        transcript.push('\n');
        said
    }

    /// The same, of which nothing is kept.
    pub(super) async fn runs_quietly(&self, line: &str) -> Said {
        let mut shell = tokio::process::Command::from(self.shell(line));
        let output = tokio::time::timeout(PATIENCE, shell.kill_on_drop(true).output())
            .await
            .unwrap_or_else(|_| panic!("{line} does not end"))
            .expect("bash starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it prints text");
        Said {
            code: output.status.code().expect("no signal ends it"),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// What was said so far is what the snapshot of this name holds.
    pub(super) fn shows(&self, name: &str) {
        let transcript = self
            .transcript
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_snapshot_path("snapshots");
        settings.set_omit_expression(true);
        for (pattern, instead) in self.replaced() {
            settings.add_filter(&pattern, instead);
        }
        settings.bind(|| insta::assert_snapshot!(name, transcript.trim_end()));
    }

    /// What differs from run to run, and what stands for it.
    fn replaced(&self) -> Vec<(String, &'static str)> {
        let machine = nix::unistd::gethostname().expect("the machine has a name");
        let machine = machine.to_string_lossy().into_owned();
        [
            (regex_of(&self.home().display().to_string()), "HOME"),
            (r"127\.0\.0\.1:\d+".to_owned(), "ADDRESS"),
            (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\dZ?".to_owned(), "TIME"),
            // seconds since 1970, until 2033
            (r"\b1[789]\d{8}(\.\d+)?\b".to_owned(), "UNIX"),
            (r"\b\d+ (s|min)\b".to_owned(), "AGE"),
            (r"\b\d+ ms\b".to_owned(), "MS"),
            (r#"(latency_ms"?: )[\d.]+"#.to_owned(), "${1}MS"),
            (r"stk_[0-9a-f]{64}".to_owned(), "KEY"),
            (r"\b[0-9a-f]{64}\b".to_owned(), "HASH"),
            (regex_of(env!("CARGO_PKG_VERSION")), "VERSION"),
            (format!(r"  {}\b", regex_of(&machine)), "  MACHINE"),
            // columns are as wide as what stands in them
            (r"(\S) {2,}".to_owned(), "$1  "),
        ]
        .into()
    }
}

/// A pattern for this very text.
fn regex_of(text: &str) -> String {
    text.chars()
        .flat_map(|c| match c {
            c if c.is_alphanumeric() => vec![c],
            c => vec!['\\', c],
        })
        .collect()
}
