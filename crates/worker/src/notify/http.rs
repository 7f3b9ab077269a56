//! Provider `http`: the original's generic HTTP POST, whose body has the shape of PagerDuty's first events API
//! (wire.md, section 4).

use anyhow::{Context, ensure};
use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::Client;
use serde::{Deserialize, Serialize};
use stalker_db::notifications::ClaimedNotification;
use stalker_domain::wire;

use super::{Answer, Message, judge};

/// Settings of `[channels.NAME] provider = "http"`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpChannel {
    /// Where to POST.
    pub url: String,
    /// Sent in the body; a secret.
    pub service_key: Option<String>,
    /// Keys of before, with which alerts were told that are not over.
    #[serde(default)]
    pub previous_keys: Vec<String>,
}

impl HttpChannel {
    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        // What is wrong is said without the URL, which may hold a secret.
        let url = reqwest::Url::parse(&self.url).context("url cannot be read")?;
        ensure!(
            matches!(url.scheme(), "http" | "https"),
            "url is neither http nor https, but {}",
            url.scheme()
        );
        Ok(())
    }
}

/// Without the secret.
impl std::fmt::Debug for HttpChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpChannel").finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Body<'a> {
    service_key: &'a str,
    incident_key: &'a str,
    event_type: &'static str,
    description: String,
    details: Details<'a>,
}

/// The check as the API shows it, or what the alert remembers of it.
#[derive(Serialize)]
#[serde(untagged)]
enum Details<'a> {
    Check(Box<wire::Check>),
    Remembered {
        hostname: &'a str,
        ip: &'a str,
        check: &'a str,
        out: &'a str,
        fail_count: i32,
        priority: i16,
        since: i64,
    },
}

pub(crate) async fn send(client: &Client, channel: &HttpChannel, message: &Message<'_>) -> Answer {
    let about = message.notification;
    let body = Body {
        service_key: message.secret.unwrap_or_default(),
        incident_key: &about.dedup_key,
        event_type: if about.kind == "resolve" {
            "resolve"
        } else {
            "trigger"
        },
        description: description(message),
        details: match message.check.clone() {
            Some(check) => Details::Check(Box::new(check)),
            None => Details::Remembered {
                hostname: &about.hostname,
                ip: &about.ip,
                check: &about.check_name,
                out: &about.out,
                fail_count: about.fails,
                priority: about.priority,
                since: about.opened_at.timestamp(),
            },
        },
    };
    judge(client.post(&channel.url).json(&body)).await
}

/// `check_load on web1 is DOWN`, as the original said it. More is said where the original's words would not be true, or
/// would be the first that the receiver hears of it (semantics.md, decisions 2, 4, 8 and 9).
fn description(message: &Message<'_>) -> String {
    let about = message.notification;
    let subject = match (
        about.alert_kind.as_str(),
        about.hostname.as_str(),
        about.check_name.as_str(),
    ) {
        ("flood", "", _) => "a flood of alerts".to_owned(),
        ("flood", host, _) => format!("a flood of alerts on {host}"),
        (_, host, "") => host.to_owned(),
        (_, host, check) => format!("{check} on {host}"),
    };
    if about.kind != "resolve" {
        return match about.alert_kind.as_str() {
            "flood" if about.members == 0 => format!("{subject}: all are UP again"),
            "flood" => {
                let are = if about.members == 1 { "is" } else { "are" };
                format!(
                    "{subject}: {} {are} DOWN: {}",
                    about.members,
                    members(about)
                )
            }
            _ if about.is_of_flapping => format!("{subject} is FLAPPING"),
            _ => format!("{subject} is DOWN"),
        };
    }
    let is_now = match about.close_reason.as_deref() {
        Some("removed") => "was removed",
        Some("no check left") => "has no check left that could tell",
        Some("over") => "is over; what is still down is told by itself",
        _ => "is UP",
    };
    match about.closed_at {
        Some(closed_at) if !about.is_known => {
            let (from, to) = (rfc3339(about.opened_at), rfc3339(closed_at));
            format!("{subject} {is_now}; it was down from {from} to {to}")
        }
        _ => format!("{subject} {is_now}"),
    }
}

fn members(flood: &ClaimedNotification) -> String {
    let named = flood.member_names.len();
    let more = usize::try_from(flood.members)
        .unwrap_or(0)
        .saturating_sub(named);
    let names = flood.member_names.join(", ");
    if more > 0 {
        format!("{names} and {more} more")
    } else {
        names
    }
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
