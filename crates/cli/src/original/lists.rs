//! What the original listed.

use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::{refusal, says};
use crate::client::{Client, escaped};
use crate::failure::Failure;
use crate::{output, times};

/// How the output of a check begins whose host was not reached.
const UNREACHED: &str = "<urlopen error [Errno";
/// Hosts are marked for a week after a note.
const WEEK_S: i64 = 604_800;

pub(super) async fn of_host(client: &Client, host: &str) -> Result<Value, Failure> {
    let path = format!("/checks/host/{}", escaped(host));
    client.list(&path, "checks", &[]).await
}

pub(super) async fn list(client: &Client, host: &str) -> Result<bool, Failure> {
    match of_host(client, host).await {
        Ok(document) => json(&document),
        Err(failure) => return refusal(failure, &format!("Error. No checks for {host}")),
    }
    Ok(true)
}

pub(super) async fn state_log(client: &Client, target: &str) -> Result<bool, Failure> {
    let Some((host, check)) = target.split_once(':') else {
        return Err(Failure::usage(format!("{target:?} is not HOST:CHECK")));
    };
    let path = format!("/state_log/{}/{}", escaped(host), escaped(check));
    let document = match client.list(&path, "state_log", &[]).await {
        Ok(document) => document,
        Err(failure) => {
            let unknown = format!("Error. No check or check history for {host} {check}");
            return refusal(failure, &unknown);
        }
    };
    says::line(&format!("## State Log for {check} on {host} ##"));
    let changes = document["state_log"].as_array().into_iter().flatten();
    let mut is_empty = true;
    for change in changes {
        is_empty = false;
        let state = if change["status"] == true {
            "UP  "
        } else {
            "DOWN"
        };
        let out = change["out"].as_str().unwrap_or_default();
        says::line(&format!("[{}] {state} - {out}", time(&change["last"])));
    }
    if is_empty {
        says::line("No history yet...");
    }
    Ok(true)
}

pub(super) async fn notes(client: &Client, host: &str) -> Result<bool, Failure> {
    let document = match notes_of(client, host, 10).await {
        Ok(document) => document,
        Err(failure) => {
            return refusal(
                failure,
                &format!("Error. No such host or note history for {host}"),
            );
        }
    };
    says::line(&format!("## Last 10 notes for {host} ##"));
    let notes = document["notes"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    for note in notes {
        let text = |field: &str| note[field].as_str().unwrap_or_default();
        let failing = note["alerting"].as_array().into_iter().flatten();
        let failing: Vec<_> = failing.filter_map(Value::as_str).collect();
        says::line("####");
        says::line(&format!(
            "# [{host}] On {} by {} ",
            time(&note["ts"]),
            text("user")
        ));
        says::line(&format!("# Active alerts: {}", failing.join(" ")));
        says::line("####");
        text("note").split('\n').for_each(says::line);
        says::line("");
    }
    if notes.is_empty() {
        says::line("No notes yet...");
    }
    Ok(true)
}

async fn notes_of(client: &Client, host: &str, limit: u32) -> Result<Value, Failure> {
    let path = format!("/notes/{}", escaped(host));
    let limit = [("limit", Some(limit.to_string()))];
    client.list(&path, "notes", &limit).await
}

pub(super) async fn alerting(client: &Client, is_verbose: bool) -> Result<(), Failure> {
    let document = in_state(client, "alerting").await?;
    if is_verbose {
        json(&document);
        return Ok(());
    }
    says::line("=== Alerting ===");
    // grouped, in the order in which the hosts come first
    let mut hosts: Vec<(&str, Vec<&Value>)> = Vec::new();
    for check in document["alerting"].as_array().into_iter().flatten() {
        let name = check["hostname"].as_str().unwrap_or_default();
        match hosts.iter_mut().find(|(host, _)| *host == name) {
            Some((_, checks)) => checks.push(check),
            None => hosts.push((name, vec![check])),
        }
    }
    let mut unreached = Vec::new();
    for (host, checks) in hosts {
        let mark = if has_recent_note(client, host).await? {
            "* "
        } else {
            "  "
        };
        for check in checks {
            let text = |field: &str| check[field].as_str().unwrap_or_default();
            if !text("out").starts_with(UNREACHED) {
                says::line(&format!(
                    "{mark}{} [{}] {} on {host} is alerting because \"{}\"",
                    text("id"),
                    text("owner"),
                    text("check"),
                    text("out"),
                ));
            } else if unreached.last() != Some(&host) {
                unreached.push(host);
            }
        }
    }
    says::line("=== Alerting - unreachable ===");
    says::line(&unreached.join(" "));
    Ok(())
}

async fn has_recent_note(client: &Client, host: &str) -> Result<bool, Failure> {
    match notes_of(client, host, 1).await {
        Ok(document) => {
            let written = document["notes"][0]["ts"].as_i64();
            let week = chrono::TimeDelta::seconds(WEEK_S);
            Ok(written.is_some_and(|written| written > times::from_now(-week)))
        }
        Err(failure) if failure.status.is_some() => {
            if let Some(status) = failure.status.filter(|status| *status != 404) {
                let reason = says::reason(status);
                says::line(&format!(
                    "Failed note check. Status: {status} Msg: {reason}"
                ));
            }
            Ok(false)
        }
        Err(failure) => Err(failure),
    }
}

pub(super) async fn pending(client: &Client, is_verbose: bool) -> Result<(), Failure> {
    let document = in_state(client, "pending").await?;
    if is_verbose {
        json(&document);
        return Ok(());
    }
    says::line("=== Pending ===");
    for check in document["pending"].as_array().into_iter().flatten() {
        let text = |field: &str| check[field].as_str().unwrap_or_default();
        says::line(&format!("{} on {}", text("check"), text("hostname")));
    }
    Ok(())
}

pub(super) async fn suspended(client: &Client, is_verbose: bool) -> Result<(), Failure> {
    let document = in_state(client, "suspended").await?;
    if is_verbose {
        json(&document);
        return Ok(());
    }
    says::line("=== Suspended ===");
    for check in document["suspended"].as_array().into_iter().flatten() {
        let text = |field: &str| check[field].as_str().unwrap_or_default();
        says::line(&format!(
            "{} on {} is suspended. last output: \"{}\"",
            text("check"),
            text("hostname"),
            text("out"),
        ));
    }
    Ok(())
}

async fn in_state(client: &Client, state: &str) -> Result<Value, Failure> {
    client
        .list(&format!("/checks/state/{state}"), state, &[])
        .await
}

/// As Python prints a time of UTC.
fn time(unix: &Value) -> String {
    let time = chrono::DateTime::from_timestamp(unix.as_i64().unwrap_or_default(), 0);
    time.unwrap_or_default()
        .format("%Y-%m-%d %H:%M:%S")
        .to_string()
}

/// With four blanks, as the original did.
fn json(document: &Value) {
    let mut text = Vec::new();
    let mut serializer =
        Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"    "));
    if document.serialize(&mut serializer).is_ok() {
        // lines are its own
        let text = output::escaped(&String::from_utf8_lossy(&text));
        text.lines().for_each(says::line);
    }
}
