//! `scripts/setup` on machines that lack something.
//!
//! Each test has a machine of its own: a `PATH` and a folder that stands for the system, where apt-get, sudo, id and
//! Rust are small scripts, of which apt-get writes down how it was called and what it met.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use stalker_tests::executables::checkout;
use tempfile::TempDir;

/// What the script itself is made of.
const TOOLS: [&str; 15] = [
    "bash", "basename", "cat", "cut", "dirname", "env", "grep", "head", "mkdir", "mktemp", "rm",
    "sed", "sh", "sort", "tail",
];
const INITDB: &str = "system/usr/lib/postgresql/15/bin/initdb";
/// What may be missing, and the package that has it.
const PARTS: [(&str, &str); 5] = [
    (INITDB, "postgresql"),
    (
        "system/usr/lib/nagios/plugins/check_load",
        "monitoring-plugins-basic",
    ),
    ("bin/cc", "gcc"),
    ("system/usr/include/stdio.h", "libc6-dev"),
    (
        "system/etc/ssl/certs/ca-certificates.crt",
        "ca-certificates",
    ),
];
/// What tells Debian's package to make no server, on port 5432 or any other.
const NO_SERVER: &str = "create_main_cluster = false\n";
const INSTALL: &str = "apt-get install -y --no-install-recommends";

#[test]
fn setup_is_silent_where_nothing_is_missing() {
    let machine = Machine::new();
    let output = machine.setup();
    assert!(output.status.success(), "{output:?}");
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("", ""));
    assert_eq!(machine.calls(), "");
}

/// Each part by itself, and then all of them: the package that has it, and no other.
#[test]
fn setup_by_root_installs_what_is_missing() {
    for (part, package) in PARTS {
        let machine = Machine::new();
        machine.remove(part);
        let output = machine.setup();
        assert!(output.status.success(), "{output:?}");
        let expected = format!("apt-get update\n{INSTALL} {package}\n");
        assert_eq!(machine.calls(), expected, "without {part}");
        let is_configured = machine.conf().exists();
        assert_eq!(is_configured, package == "postgresql", "without {part}");
    }

    let machine = Machine::new();
    let packages = machine.remove_all();
    assert!(machine.setup().status.success());
    let expected = format!("apt-get update\n{INSTALL} {packages}\n");
    assert_eq!(machine.calls(), expected);
    assert_eq!(machine.read("asked"), "noninteractive 1\n", "asks nothing");
}

/// When PostgreSQL's package is installed, it has been told to make no server, and told once; an administrator who has
/// decided otherwise before has decided.
#[test]
fn setup_starts_no_second_server() {
    let comment = "# Default for newer servers\n#create_main_cluster = true\n";
    let own = "create_main_cluster = true\n";
    for (before, expected) in [
        (None, NO_SERVER.to_owned()),
        (Some(comment), format!("{comment}{NO_SERVER}")),
        (Some(NO_SERVER), NO_SERVER.to_owned()),
        (Some(own), own.to_owned()),
    ] {
        let machine = Machine::new();
        machine.remove(INITDB);
        if let Some(before) = before {
            machine.file("system/etc/postgresql-common/createcluster.conf", before);
        }
        assert!(machine.setup().status.success());
        assert_eq!(machine.read("met"), expected, "before: {before:?}");
    }
}

/// Who may not install is given one line, which does the same as root's set-up, and nothing else happens.
#[test]
fn setup_by_a_user_prints_the_line_to_paste() {
    let machine = Machine::new();
    machine.is_run_by(1000);
    let packages = machine.remove_all();
    let output = machine.setup();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(machine.calls(), "");
    assert!(!machine.conf().exists());
    let told = text(&output.stdout);
    let lines: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("apt-get"))
        .collect();
    let [line] = lines[..] else {
        panic!("one line, to be pasted:\n{told}");
    };

    machine.program("bin/sudo", "exec \"$@\"");
    let pasted = machine.run(Command::new("/bin/sh").args(["-c", line]));
    assert!(pasted.status.success(), "{pasted:?}");
    let expected = format!("apt-get update\n{INSTALL} {packages}\n");
    assert_eq!(machine.calls(), expected);
    assert_eq!(machine.read("met"), NO_SERVER);
}

/// Rust is the user's choice: what is missing or too old is said, with the version that is wanted, and left to them.
#[test]
fn setup_only_names_rust() {
    let manifest = fs::read_to_string(checkout().join("Cargo.toml")).expect("it is there");
    let manifest: toml::Table = manifest.parse().expect("it is TOML");
    let wanted = manifest["workspace"]["package"]["rust-version"]
        .as_str()
        .expect("the workspace says which Rust it needs");
    for (what, words) in [
        ("cargo", ["missing", wanted]),
        ("rustc", ["missing", wanted]),
        ("an older one", ["1.9.0 is too old", wanted]),
    ] {
        let machine = Machine::new();
        match what {
            "an older one" => machine.program("bin/rustc", "echo 'rustc 1.9.0 (of the test)'"),
            program => machine.remove(&format!("bin/{program}")),
        }
        let output = machine.setup();
        assert_eq!(output.status.code(), Some(1), "{what}: {output:?}");
        for word in words {
            let told = text(&output.stderr);
            assert!(told.contains(word), "{what}: {word} is not in: {told}");
        }
        assert_eq!(machine.calls(), "", "{what}");
    }
}

/// What cannot be installed is said, and the set-up does not go on as if it were there.
#[test]
fn setup_says_why_it_cannot_install() {
    let machine = Machine::new();
    machine.remove(INITDB);
    machine.program("bin/apt-get", "echo 'E: the mirror is gone' >&2; exit 100");
    let output = machine.setup();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = text(&output.stderr);
    assert!(told.contains("E: the mirror is gone"), "{told}");

    machine.remove("bin/apt-get");
    let output = machine.setup();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = text(&output.stderr);
    assert!(told.contains("missing: postgresql"), "{told}");
}

/// A machine with everything but what a test takes away.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self {
            folder: tempfile::tempdir().expect("a temporary folder can be made"),
        };
        for (part, _) in PARTS {
            machine.program(part, "");
        }
        machine.program(&INITDB.replace("initdb", "postgres"), "");
        machine.program("bin/cargo", "");
        machine.program("bin/rustc", "echo 'rustc 99.0.0 (of the test)'");
        for tool in TOOLS {
            symlink(on_path(tool), machine.path("bin").join(tool)).expect("a link can be made");
        }
        machine.is_run_by(0);
        let apt_get = format!(
            "cd {folder}\necho \"apt-get $*\" >>calls\n[ \"$1\" = install ] || exit 0\n\
             echo \"$DEBIAN_FRONTEND $UCF_FORCE_CONFFOLD\" >asked\ncat {conf} >met 2>/dev/null\nexit 0",
            folder = machine.folder.path().display(),
            conf = machine.conf().display(),
        );
        machine.program("bin/apt-get", &apt_get);
        machine
    }

    fn is_run_by(&self, uid: u32) {
        self.program("bin/id", &format!("echo {uid}"));
    }

    fn setup(&self) -> Output {
        self.run(&mut Command::new(checkout().join("scripts/setup")))
    }

    fn run(&self, command: &mut Command) -> Output {
        command
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("HOME", self.folder.path())
            .env("TMPDIR", self.folder.path())
            .env("STALKER_TEST_SYSTEM", self.path("system"))
            .stdin(Stdio::null());
        command.output().expect("it starts")
    }

    /// How apt-get was called, a line each.
    fn calls(&self) -> String {
        fs::read_to_string(self.path("calls")).unwrap_or_default()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("apt-get has written it")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn conf(&self) -> PathBuf {
        self.path("system/etc/postgresql-common/createcluster.conf")
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).expect("it was there");
    }

    /// Removes every part, and gives the packages that have them.
    fn remove_all(&self) -> String {
        PARTS
            .map(|(part, package)| {
                self.remove(part);
                package
            })
            .join(" ")
    }

    fn program(&self, name: &str, body: &str) {
        self.file(name, &format!("#!/bin/sh\n{body}\n"));
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755))
            .expect("a mode can be set");
    }

    fn file(&self, name: &str, content: &str) {
        let path = self.path(name);
        let folder = path.parent().expect("it lies in a folder");
        fs::create_dir_all(folder).expect("a folder can be made");
        fs::write(path, content).expect("a file can be written");
    }
}

fn on_path(tool: &str) -> PathBuf {
    let path = std::env::var_os("PATH").expect("tests have a PATH");
    let mut found = std::env::split_paths(&path).map(|folder| folder.join(tool));
    found
        .find(|program| program.is_file())
        .unwrap_or_else(|| panic!("{tool} is not on PATH"))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("it is text")
}
