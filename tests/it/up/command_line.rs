//! What `stalkerd` says about itself, and about settings that are not as they must be.

use std::fs;
use std::path::Path;
use std::process::Output;

use stalker_tests::executables;
use stalker_tests::process::command;

const SUBCOMMANDS: [&str; 16] = [
    "up",
    "all",
    "api",
    "scheduler",
    "worker",
    "migrate",
    "openapi",
    "config",
    "user",
    "key",
    "hosts",
    "maintenance",
    "alerts",
    "doctor",
    "routes",
    "notifications",
];

#[test]
fn every_subcommand_says_what_it_does() {
    let all = told(&stalkerd(&["--help"], &[]));
    for name in SUBCOMMANDS {
        let line = all.lines().find_map(|line| line.trim().strip_prefix(name));
        let summary = line
            .unwrap_or_else(|| panic!("{name} is not in\n{all}"))
            .trim();
        assert!(summary.contains(' '), "{name}: {summary}");
        let own = told(&stalkerd(&[name, "--help"], &[]));
        assert!(own.starts_with(summary), "{name}:\n{own}");
        assert!(
            own.contains(&format!("Usage: stalkerd {name}")),
            "{name}:\n{own}"
        );
    }
}

#[test]
fn config_shows_what_is_in_force_and_hides_secrets() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = write(
        folder.path(),
        "[database]\nurl = 'postgres://stalker:Secret1@db.example/stalker'\n\
         [api]\nregister_key = 'Secret2'\n[worker]\nslots = 7\ncheck_key = 'Secret3'\n\
         [channels.pager]\nprovider = 'http'\nurl = 'http://pager.example/'\nservice_key = 'Secret4'\n",
    );
    let environment = [
        ("STALKER__API__API_KEY", "Secret5"),
        ("STALKER__WORKER__SLOTS", "9"),
    ];
    let shown = told(&stalkerd(&["config", "--config", &file], &environment));
    assert!(!shown.contains("Secret"), "{shown}");
    let shown: toml::Table = shown.parse().expect("it is TOML");
    for (section, key) in [
        ("api", "register_key"),
        ("api", "api_key"),
        ("worker", "check_key"),
    ] {
        assert_eq!(
            shown[section][key].as_str(),
            Some("(hidden)"),
            "{section}.{key}"
        );
    }
    assert_eq!(
        shown["channels"]["pager"]["service_key"].as_str(),
        Some("(hidden)")
    );
    assert_eq!(
        shown["channels"]["pager"]["url"].as_str(),
        Some("http://pager.example/(hidden)")
    );
    // the environment wins over the file, and what neither names has its default
    assert_eq!(shown["worker"]["slots"].as_integer(), Some(9));
    assert_eq!(shown["worker"]["lease"].as_integer(), Some(25));
    let url = shown["database"]["url"].as_str();
    assert_eq!(url, Some("postgres://stalker:(hidden)@db.example/stalker"));
}

#[test]
fn a_setting_that_is_not_one_is_named_with_its_place() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = write(folder.path(), "[worker]\nslot = 3\n");
    for subcommand in ["config", "worker", "migrate"] {
        refuses(
            &stalkerd(&[subcommand, "--config", &file], &[]),
            &["slot", &file],
        );
    }
    let variable = ("STALKER__WORKER__SLOT", "3");
    refuses(&stalkerd(&["config"], &[variable]), &["slot", "STALKER__"]);
    refuses(
        &stalkerd(&["config", "--config", "/does/not/exist"], &[]),
        &["/does/not/exist"],
    );
    let file = write(folder.path(), "[worker]\nlease = 15\n");
    refuses(
        &stalkerd(&["worker", "--config", &file], &[]),
        &["worker.lease"],
    );
}

fn stalkerd(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = command(&executables::stalkerd());
    command.args(arguments).envs(environment.iter().copied());
    command.output().expect("stalkerd starts")
}

fn told(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("it is text")
}

fn refuses(output: &Output, words: &[&str]) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    for word in words {
        assert!(told.contains(word), "{word} is not in: {told}");
    }
}

fn write(folder: &Path, text: &str) -> String {
    let file = folder.join("stalkerd.toml");
    fs::write(&file, text).expect("a file can be written");
    file.to_str().expect("temporary paths are text").to_owned()
}
