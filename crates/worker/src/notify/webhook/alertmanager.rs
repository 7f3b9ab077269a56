//! Version 4 of the payload that Alertmanager posts (its documentation, "webhook_config"), which on-call tools accept.
//! A message is a group of one alert.

use serde_json::{Value, json};

use crate::notify::Message;
use crate::notify::text::Escape;

/// What Alertmanager says of the end of what goes on.
const NEVER: &str = "0001-01-01T00:00:00Z";
/// Hex digits of a fingerprint.
const FINGERPRINT: usize = 16;

pub(super) fn payload(message: &Message<'_>) -> Value {
    let (about, facts) = (message.notification, &message.facts);
    let status = if facts.is_over { "resolved" } else { "firing" };
    let alert_name = match (about.alert_kind.as_str(), facts.check.as_str()) {
        ("host", _) => "HostUnreachable",
        ("flood", _) => "Flood",
        ("test", _) => "Test",
        (_, check) => check,
    };
    // Some tools know an alert by its labels: what changes while it lasts is not among them.
    let labels = json!({
        "alertname": alert_name,
        "instance": facts.host,
        "job": "stalker",
        "kind": about.alert_kind,
        "severity": if facts.priority > 1 { "warning" } else { "critical" },
    });
    let annotations = json!({
        "summary": message.subject(Escape::Plain),
        "description": message.body(Escape::Plain),
        "state": facts.state,
    });
    let url = facts.url.as_deref().unwrap_or_default();
    let (base, _) = url.split_once("/#/").unwrap_or_default();
    json!({
        "version": "4",
        "groupKey": about.dedup_key,
        "truncatedAlerts": 0,
        "status": status,
        "receiver": facts.channel,
        "groupLabels": {"alertname": alert_name, "instance": facts.host},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": base,
        "alerts": [{
            "status": status,
            "labels": labels,
            "annotations": annotations,
            "startsAt": facts.since,
            "endsAt": facts.until.as_deref().unwrap_or(NEVER),
            "generatorURL": url,
            "fingerprint": &message.thread_id()[..FINGERPRINT],
        }],
    })
}
