//! What the shell may offer for the word that is being typed: names that the server knows at this moment.
//!
//! Nobody waits for a completion, and nobody wants to read an error in the middle of a line: what does not answer within
//! a moment offers nothing.

use std::env;
use std::ffi::OsStr;
use std::time::Duration;

use clap_complete::engine::CompletionCandidate;
use serde_json::Value;

use crate::client::{Client, escaped};
use crate::context::{Contexts, ServerArgs};

/// For all of it: as long as a person does not notice.
const MOMENT: Duration = Duration::from_millis(800);

/// Names of contexts.
pub(crate) fn contexts(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = Contexts::read().map(|contexts| contexts.contexts.into_keys());
    candidates(current, names.into_iter().flatten())
}

/// Names of hosts.
pub(crate) fn hosts(current: &OsStr) -> Vec<CompletionCandidate> {
    let begin = current.to_string_lossy().into_owned();
    let names = asked(async |client| hosts_beginning_with(client, &begin).await);
    candidates(current, names)
}

/// Checks as `HOST/CHECK`, first the host and then the check. Bash takes a colon for the end of a word, so a slash is
/// offered; where a colon stands already it is kept.
pub(crate) fn checks(current: &OsStr) -> Vec<CompletionCandidate> {
    let begin = current.to_string_lossy().into_owned();
    let names = asked(async |client| {
        let Some(at) = begin.find([':', '/']) else {
            let hosts = hosts_beginning_with(client, &begin).await?;
            return Some(hosts.iter().map(|host| format!("{host}/")).collect());
        };
        let (host, separator) = (&begin[..at], &begin[at..=at]);
        let path = format!("/checks/host/{}", escaped(host));
        let answer = client.get(&path).await.ok()?;
        let names = named(&answer["checks"], "check");
        Some(
            names
                .map(|check| format!("{host}{separator}{check}"))
                .collect(),
        )
    });
    candidates(current, names)
}

/// Names of channels.
pub(crate) fn channels(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = asked(async |client| {
        let answer = client.get("/channels").await.ok()?;
        Some(
            named(&answer["channels"], "name")
                .map(str::to_owned)
                .collect(),
        )
    });
    candidates(current, names)
}

async fn hosts_beginning_with(client: &Client, begin: &str) -> Option<Vec<String>> {
    let answer = client.get(&format!("/findhost?q={}", escaped(begin))).await;
    let names = answer.ok()?;
    Some(names.as_str()?.split(',').map(str::to_owned).collect())
}

fn named<'a>(things: &'a Value, field: &'static str) -> impl Iterator<Item = &'a str> {
    let things = things.as_array().map(Vec::as_slice).unwrap_or_default();
    things.iter().filter_map(move |thing| thing[field].as_str())
}

fn candidates(
    current: &OsStr,
    names: impl IntoIterator<Item = String>,
) -> Vec<CompletionCandidate> {
    let begin = current.to_string_lossy();
    names
        .into_iter()
        .filter(|name| name.starts_with(&*begin) && is_harmless(name))
        .map(CompletionCandidate::new)
        .collect()
}

/// Whether a shell takes it for what it is: names come from hosts, and what is offered stands on the line unquoted.
fn is_harmless(name: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || "._:/@+-".contains(c);
    !name.is_empty() && !name.starts_with('-') && name.chars().all(is_plain)
}

/// What the server says, if it says it in time.
fn asked(ask: impl AsyncFnOnce(&Client) -> Option<Vec<String>>) -> Vec<String> {
    let answer = || {
        let server = ServerArgs {
            context: typed("--context"),
            url: typed("--url"),
            ca_file: None,
            timeout: 1,
        };
        let client = Client::new(server.server().ok()?).ok()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .ok()?;
        let said =
            runtime.block_on(async { tokio::time::timeout(MOMENT, ask(&client)).await.ok() });
        // a name that is still being looked up is not waited for
        runtime.shutdown_background();
        said?
    };
    answer().unwrap_or_default()
}

/// What the line says of this option, if it does: `--url URL` or `--url=URL`.
fn typed(option: &str) -> Option<String> {
    value_of(
        option,
        env::args_os().filter_map(|word| word.into_string().ok()),
    )
}

fn value_of(option: &str, mut words: impl Iterator<Item = String>) -> Option<String> {
    while let Some(word) = words.next() {
        match word.strip_prefix(option) {
            // bash takes = for a word of its own
            Some("") => return words.find(|word| word != "="),
            Some(rest) if rest.starts_with('=') => return Some(rest[1..].to_owned()),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_the_one_that_the_line_names() {
        for (line, expected) in [
            ("stalker checks list", None),
            ("stalker --url http://a checks list", Some("http://a")),
            ("stalker checks list --url=http://a", Some("http://a")),
            ("stalker checks list --url = http://a", Some("http://a")),
            ("stalker checks list --urls http://a", None),
            ("stalker checks list --url", None),
        ] {
            let words = line.split(' ').map(str::to_owned);
            assert_eq!(value_of("--url", words).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn only_what_a_shell_takes_for_a_name_is_offered() {
        for (name, is_offered) in [
            ("web1.example.net", true),
            ("web1/check_load", true),
            ("zürich1", true),
            ("web$(touch x)", false),
            ("web;reboot", false),
            ("web 1", false),
            ("web`id`", false),
            ("--yes", false),
            ("", false),
        ] {
            assert_eq!(is_harmless(name), is_offered, "{name}");
        }
    }
}
