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
        ("cluster", _) => "ClusterUnreachable",
        ("flood", _) => "Flood",
        ("test", _) => "Test",
        (_, check) => check,
    };
    let severity = if facts.priority > 1 {
        "warning"
    } else {
        "critical"
    };
    // Some tools know an alert by its labels: what changes while it lasts is not among them. A flood is as severe as what it
    // has grown to, and two of them are of the same.
    let (own, own_value) = if about.alert_kind == "flood" {
        ("flood", about.dedup_key.as_str())
    } else {
        ("severity", severity)
    };
    let labels = json!({
        "alertname": alert_name,
        "instance": facts.host,
        "job": "stalker",
        "kind": about.alert_kind,
        own: own_value,
    });
    let annotations = json!({
        "summary": message.subject(Escape::Plain),
        "description": message.body(Escape::Plain),
        "state": facts.state,
        "severity": severity,
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::notify::facts::Facts;
    use crate::notify::text::{self, Texts, example};

    /// What is said of a flood of this key and priority.
    fn flood(kind: &str, key: &str, priority: i16) -> Value {
        let mut about = example(kind, "flood");
        (about.dedup_key, about.priority) = (key.to_owned(), priority);
        let texts = Texts::new(None, None, text::LONG).expect("our own templates are good");
        payload(&Message {
            facts: Facts::of(&about, None),
            notification: &about,
            check: None,
            key: None,
            timeout: Duration::from_secs(1),
            texts: &texts,
        })
    }

    #[test]
    fn a_flood_is_known_by_its_labels_whatever_it_grows_to() {
        let (small, grown) = (
            flood("trigger", "db1:flood:1", 2),
            flood("resolve", "db1:flood:1", 1),
        );
        assert_eq!(small["commonLabels"], grown["commonLabels"]);
        assert_eq!(small["alerts"][0]["labels"], grown["alerts"][0]["labels"]);
        assert_eq!(small["commonAnnotations"]["severity"], "warning");
        assert_eq!(grown["commonAnnotations"]["severity"], "critical");
        let another = flood("trigger", "db1:flood:2", 2);
        assert_ne!(small["commonLabels"], another["commonLabels"]);
    }
}
