//! What the original did, and the line that it printed then.

use std::io::{BufRead as _, Write as _};

use serde_json::json;

use super::{lists, refusal};
use crate::client::{Client, escaped};
use crate::context::user_of_this_system;
use crate::editor;
use crate::failure::Failure;
use crate::output::printable;

/// A line; a reader that has seen enough is no failure.
pub(super) fn line(text: &str) {
    writeln!(std::io::stdout(), "{}", printable(text)).ok();
}

pub(super) fn failed(status: u16) -> String {
    format!("Failed. Status: {status} Msg: {}", reason(status))
}

pub(super) fn reason(status: u16) -> &'static str {
    reqwest::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default()
}

pub(super) async fn recheck(client: &Client, id: &str) -> Result<bool, Failure> {
    let path = format!("/checks/id/{}/next", escaped(id));
    match client.post(&path, &json!({"next": "now"})).await {
        Ok(_) => line(&format!("{id} set for recheck.")),
        Err(failure) => return refusal(failure, &no_check(id)),
    }
    Ok(true)
}

pub(super) async fn claim(client: &Client, id: &str, user: Option<&str>) -> Result<bool, Failure> {
    let user = author(user)?;
    let path = format!("/checks/id/{}/owner", escaped(id));
    match client.post(&path, &json!({"owner": user})).await {
        Ok(_) => line(&format!("{id} claimed for {user}")),
        Err(failure) => return refusal(failure, &no_check(id)),
    }
    Ok(true)
}

pub(super) async fn unclaim(client: &Client, id: &str) -> Result<bool, Failure> {
    let path = format!("/checks/id/{}/owner", escaped(id));
    match client.delete(&path).await {
        Ok(_) => line(&format!("claim on {id} released.")),
        Err(failure) => return refusal(failure, &no_check(id)),
    }
    Ok(true)
}

pub(super) async fn remove_check(client: &Client, id: &str, name: &str) -> Result<bool, Failure> {
    match client.delete(&format!("/checks/id/{}", escaped(id))).await {
        Ok(_) => line(&format!("{name} deleted.")),
        Err(failure) => return refusal(failure, &no_check(id)),
    }
    Ok(true)
}

/// Shows the host's checks, asks, and removes them and the host.
pub(super) async fn remove(client: &Client, host: &str) -> Result<bool, Failure> {
    line(&format!("Looking up checks for {host}..."));
    let mut is_well = true;
    match lists::of_host(client, host).await {
        Ok(document) => {
            let checks = document["checks"].as_array().into_iter().flatten();
            let checks: Vec<_> = checks
                .map(|check| {
                    let text = |field: &str| check[field].as_str().unwrap_or_default();
                    (text("id"), text("check"))
                })
                .collect();
            // as Python 2 prints a list
            let names: Vec<_> = checks
                .iter()
                .map(|(_, name)| format!("u'{name}'"))
                .collect();
            line(&format!("[{}]", names.join(", ")));
            if !is_confirmed() {
                line("Aborting.");
                return Ok(true);
            }
            for (id, name) in checks {
                is_well &= remove_check(client, id, name).await?;
            }
        }
        // what could not be shown was not asked for either
        Err(failure) if failure.status != Some(404) => return refusal(failure, ""),
        Err(failure) => is_well = refusal(failure, &format!("Error. No checks for {host}"))?,
    }
    line("Removing host...");
    match client.delete(&format!("/hosts/{}", escaped(host))).await {
        Ok(_) => line(&format!("{host} deleted.")),
        Err(failure) => is_well = refusal(failure, &format!("Error. No host matching {host}"))?,
    }
    Ok(is_well)
}

fn is_confirmed() -> bool {
    let mut out = std::io::stdout();
    write!(out, "Ok to remove all these checks? [y/n] ").ok();
    out.flush().ok();
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).ok();
    answer.trim().eq_ignore_ascii_case("y")
}

pub(super) async fn add_note(
    client: &Client,
    host: &str,
    text: Option<&str>,
    user: Option<&str>,
) -> Result<bool, Failure> {
    let text = match text.filter(|text| !text.is_empty()) {
        Some("-") => String::new(),
        Some(text) => text.to_owned(),
        None => match editor::written() {
            Ok(text) => text,
            Err(failure) => {
                line(failure.what());
                return Ok(false);
            }
        },
    };
    let user = author(user)?;
    let path = format!("/notes/{}", escaped(host));
    match client
        .post(&path, &json!({"user": user, "note": text}))
        .await
    {
        Ok(_) => line(&format!("Posted note to {host} for {user}")),
        Err(failure) => return refusal(failure, &format!("Error. No host with id {host}")),
    }
    Ok(true)
}

fn author(user: Option<&str>) -> Result<String, Failure> {
    user.map(str::to_owned)
        .or_else(user_of_this_system)
        .ok_or_else(|| Failure::usage("who you are is not known").hint("say --user NAME"))
}

fn no_check(id: &str) -> String {
    format!("Error. No check with id {id}")
}
