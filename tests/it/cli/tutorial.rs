//! docs/cli.md: every command of the tutorial in its order, against what `make run` starts, with what it prints.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use stalker_tests::executables::{checkout, stalkerd};
use stalker_tests::private_postgres::reachable_folder;
use stalker_tests::process::command;
use stalker_tests::server::Server;
use stalker_tests::until::until_seen;

use super::Desk;

/// Where the tutorial's server listens.
const ADDRESS: &str = "http://127.0.0.1:5000";
/// Until what is looked at is as the tutorial shows it: checks run, and an alert takes three runs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A command, and the lines that are shown below it.
struct Step {
    command: String,
    shown: Vec<String>,
}

#[tokio::test]
async fn its_commands_do_what_it_says() {
    let text = fs::read_to_string(checkout().join("docs/cli.md")).expect("it is there");
    let steps = steps(&text);
    assert!(steps.len() > 30, "{} commands are found", steps.len());

    let home = reachable_folder();
    let server = Server::up_by(
        command(&stalkerd()).env("STALKER_AGENT__MAIN__HOSTNAME", "web1"),
        home.path(),
    )
    .await;
    let url = server.ready["api"].as_str().expect("it has an API");
    let desk = Desk::new();
    symlink(home.path(), desk.home().join(".stalker")).expect("a link can be made");
    for step in steps {
        let line = step.command.replace(ADDRESS, url);
        let run = async || {
            let said = desk.runs_quietly(&format!("{{ {line}\n}} 2>&1")).await;
            (said.code, said.out.replace(url, ADDRESS))
        };
        let is_right = |(code, out): &(i32, String)| *code == 0 && matches(&step.shown, out);
        // what only looks may look again until it sees it; what acts acts once
        if ["list", "show", "history", "stats"]
            .iter()
            .any(|verb| line.contains(verb))
        {
            until_seen(&step.command, PATIENCE, run, is_right).await;
        } else {
            let said = run().await;
            assert!(
                is_right(&said),
                "{}: {said:?}, but the tutorial shows {:?}",
                step.command,
                step.shown
            );
        }
    }
}

/// The commands in the blocks that are marked `console`.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        match (line, is_inside) {
            ("```console", _) => is_inside = true,
            ("```", _) => is_inside = false,
            (line, true) => match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step {
                    command: command.to_owned(),
                    shown: Vec::new(),
                }),
                (None, Some(step)) => step.shown.push(line.to_owned()),
                (None, None) => panic!("a block begins with a command: {line}"),
            },
            _ => {}
        }
    }
    steps
}

/// A line `…` stands for any lines, `…` within a line for any text; how wide a column is does not matter.
fn matches(shown: &[String], out: &str) -> bool {
    let said: Vec<String> = out.trim_end().lines().map(squeezed).collect();
    let mut shown: Vec<String> = shown.iter().map(|line| squeezed(line)).collect();
    while shown.last().is_some_and(String::is_empty) {
        shown.pop();
    }
    lines_match(&shown, &said)
}

fn lines_match(shown: &[String], said: &[String]) -> bool {
    match (shown, said) {
        ([], []) => true,
        ([any, rest @ ..], _) if any == "…" => {
            (0..=said.len()).any(|n| lines_match(rest, &said[n..]))
        }
        ([line, shown @ ..], [other, said @ ..]) => {
            line_matches(line, other) && lines_match(shown, said)
        }
        _ => false,
    }
}

fn line_matches(shown: &str, said: &str) -> bool {
    match shown.split_once('…') {
        None => shown == said,
        Some((before, after)) => said.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices()
                .map(|(at, _)| at)
                .chain([rest.len()])
                .any(|at| line_matches(after, &rest[at..]))
        }),
    }
}

fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
