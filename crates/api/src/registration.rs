//! Reads a registration by hand, because a derived parser stops at the first mistake: an agent's owner learns of all
//! of them at once, each with its place.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use serde_json::Value;
use stalker_domain::wire::{RegisteredCheck, Registration};

use crate::error::{Error, FieldError};
use crate::fields::{self, Fields, expected, integer, text};

/// Seconds; a week is the longest interval.
const INTERVALS: RangeInclusive<i64> = 1..=604_800;
const TIMEOUTS: RangeInclusive<i64> = 1..=3600;
const LONGEST_NAME: usize = 255;

/// The registration that a body holds.
///
/// # Errors
/// All wrong fields.
pub(crate) fn read(body: &Value) -> Result<Registration, Error> {
    fields::read(body, |fields| Registration {
        hostname: fields.required("hostname", name).unwrap_or_default(),
        roles: fields.optional("roles", roles).unwrap_or_default(),
        ip: fields.optional("ip", ip).flatten(),
        port: fields
            .optional("port", |v| integer(v, 1..=65535))
            .and_then(|port| u16::try_from(port).ok()),
        agent_version: fields.optional("agent_version", name),
        cert_sha256: fields.optional("cert_sha256", fingerprint),
        check_key: fields.optional("check_key", header_text),
        checks: checks(fields),
    })
}

fn checks(fields: &mut Fields) -> BTreeMap<String, RegisteredCheck> {
    let mut checks = BTreeMap::new();
    let Some(declared) = fields.required("checks", |value| {
        value
            .as_object()
            .ok_or_else(|| expected("an object", value))
    }) else {
        return checks;
    };
    for (check_name, value) in declared {
        let at = format!("checks.{check_name}");
        if let Err(message) = name(&Value::String(check_name.clone())) {
            fields.errors.push(FieldError {
                at: at.clone(),
                message: format!("the name of a check {message}"),
            });
        }
        match value.as_object() {
            Some(map) => {
                let check = check(&mut Fields {
                    at: format!("{at}."),
                    map,
                    errors: fields.errors,
                });
                checks.insert(check_name.clone(), check);
            }
            None => fields.errors.push(FieldError {
                at,
                message: expected("an object", value),
            }),
        }
    }
    checks
}

fn check(fields: &mut Fields) -> RegisteredCheck {
    fields.optional("env", env);
    RegisteredCheck {
        cmd: fields.optional("cmd", text),
        args: fields.required("args", text).unwrap_or_default(),
        interval: fields
            .required("interval", |v| integer(v, INTERVALS))
            .unwrap_or_default(),
        follow_up: fields
            .required("follow_up", |v| integer(v, INTERVALS))
            .unwrap_or_default(),
        // above 2 counts as 2
        priority: fields
            .optional("priority", |v| integer(v, 0..=i64::MAX))
            .map(|priority| priority.min(2)),
        timeout: fields.optional("timeout", |v| integer(v, TIMEOUTS)),
        alert_threshold: fields.optional("alert_threshold", |v| integer(v, 1..=1000)),
        // with one, a first failure would be flapping
        flap_threshold: fields.optional("flap_threshold", |v| integer(v, 2..=1000)),
        flap_window: fields.optional("flap_window", |v| integer(v, 1..=604_800)),
    }
}

/// A name becomes part of paths and of keys for deduplication.
fn name(value: &Value) -> Result<String, String> {
    let name = text(value)?;
    if name.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if name.chars().count() > LONGEST_NAME {
        return Err(format!("must not be longer than {LONGEST_NAME} characters"));
    }
    if name.chars().any(|c| c.is_control() || c == '/') {
        return Err("must not hold a control character or a slash".to_owned());
    }
    Ok(name)
}

fn roles(value: &Value) -> Result<Vec<String>, String> {
    let roles = value
        .as_array()
        .ok_or_else(|| expected("a list of strings", value))?;
    roles.iter().map(text).collect()
}

/// An empty address is none.
fn ip(value: &Value) -> Result<Option<String>, String> {
    let ip = text(value)?;
    if ip.is_empty() {
        return Ok(None);
    }
    match ip.parse::<IpAddr>() {
        Ok(ip) => Ok(Some(ip.to_canonical().to_string())),
        Err(_) => Err(format!("must be an IP address or empty, not {ip:?}")),
    }
}

fn fingerprint(value: &Value) -> Result<String, String> {
    let hex = text(value)?;
    if hex.len() != 64 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err("must be 64 lower-case hexadecimal digits".to_owned());
    }
    Ok(hex)
}

/// A key is sent as a header; an original agent's may be a phrase.
fn header_text(value: &Value) -> Result<String, String> {
    let key = text(value)?;
    if key.is_empty()
        || key.len() > LONGEST_NAME
        || !key.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
    {
        return Err(format!(
            "must be 1 to {LONGEST_NAME} printable ASCII characters"
        ));
    }
    Ok(key)
}

/// The original sends `""` for none; scripts get their environment from their own agent, so it is not kept.
fn env(value: &Value) -> Result<(), String> {
    if value.is_object() || value == "" {
        Ok(())
    } else {
        Err(expected("an object or \"\"", value))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The places of all mistakes, in the order in which they are found.
    fn mistakes(body: Value) -> Vec<String> {
        match read(&body) {
            Ok(_) => Vec::new(),
            Err(Error::BadFields(errors)) => errors.into_iter().map(|error| error.at).collect(),
            Err(other) => panic!("not a list of fields: {other}"),
        }
    }

    fn with_check(check: Value) -> Value {
        json!({"hostname": "web1", "checks": {"check_load": check}})
    }

    #[test]
    fn the_originals_registration_is_read() {
        let check = json!({"cmd": "/x", "args": "-w 1", "env": "", "interval": 15, "follow_up": 5, "priority": 7, "enabled": true});
        let mut body = with_check(check);
        body["snack"] = json!("unknown fields are ignored");
        body["ip"] = json!("");
        let registration = read(&body).expect("it is well-formed");
        assert_eq!(registration.ip, None);
        let check = &registration.checks["check_load"];
        assert_eq!(
            (check.interval, check.follow_up, check.priority),
            (15, 5, Some(2))
        );
    }

    #[test]
    fn every_wrong_field_is_named() {
        for (body, expected) in [
            (json!([]), vec!["body"]),
            (json!({}), vec!["hostname", "checks"]),
            (json!({"hostname": "", "checks": {}}), vec!["hostname"]),
            (json!({"hostname": "a/b", "checks": {}}), vec!["hostname"]),
            (
                json!({"hostname": "a\u{7}", "checks": {}}),
                vec!["hostname"],
            ),
            (
                json!({"hostname": "x".repeat(256), "checks": {}}),
                vec!["hostname"],
            ),
            (
                json!({"hostname": "a", "roles": "server", "ip": "nowhere", "port": 0, "checks": []}),
                vec!["roles", "ip", "port", "checks"],
            ),
            (
                json!({"hostname": "a", "cert_sha256": "AB", "check_key": "", "checks": {}}),
                vec!["cert_sha256", "check_key"],
            ),
            (
                json!({"hostname": "a", "checks": {"b/c": {"args": "", "interval": 1, "follow_up": 1}}}),
                vec!["checks.b/c"],
            ),
            (with_check(json!(3)), vec!["checks.check_load"]),
            (
                with_check(json!({})),
                vec![
                    "checks.check_load.args",
                    "checks.check_load.interval",
                    "checks.check_load.follow_up",
                ],
            ),
            (
                with_check(json!({"args": "", "interval": 0, "follow_up": 604_801})),
                vec!["checks.check_load.interval", "checks.check_load.follow_up"],
            ),
            (
                with_check(json!({"args": "", "interval": "15", "follow_up": 1.5})),
                vec!["checks.check_load.interval", "checks.check_load.follow_up"],
            ),
            (
                with_check(json!({"args": 1, "interval": 1, "follow_up": 1, "env": "x"})),
                vec!["checks.check_load.env", "checks.check_load.args"],
            ),
            (
                with_check(json!({"args": "\0", "interval": 1, "follow_up": 1, "priority": -1})),
                vec!["checks.check_load.args", "checks.check_load.priority"],
            ),
        ] {
            assert_eq!(mistakes(body.clone()), expected, "{body}");
        }
    }
}
