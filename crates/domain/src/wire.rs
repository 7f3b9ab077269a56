//! The shapes that travel between agents, servers and people, with the original system's field names.
//!
//! These names are a promise: an agent, a script or a client of the original system keeps working. Inside the
//! system the words of the glossary are used; only this file and the routes know the wire's. Fields marked
//! *ours* are additions that others may leave out. Unknown fields are ignored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[cfg(feature = "openapi")]
use crate::status::Status;

/// Header with which a server calls an agent.
pub const CHECK_KEY_HEADER: &str = "x-check-key";
/// Header with which an agent registers.
pub const REGISTER_KEY_HEADER: &str = "x-register-key";
/// Ours: header with which an agent shows that it is the one that has registered its name before.
pub const AGENT_TOKEN_HEADER: &str = "x-agent-token";
/// Ours: of a cluster that refuses the key that another has for it. Clients know by this that it is not their own.
pub const KEY_REFUSED: &str = "does not let our key do this";
/// Header with which a client calls the API.
pub const API_KEY_HEADER: &str = "x-api-key";

/// What an agent sends to `POST /register`: itself, and every check that it offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Registration {
    /// The name under which the host is known; unique in a cluster.
    #[cfg_attr(
        feature = "openapi",
        schema(
            min_length = 1,
            max_length = 255,
            pattern = r"^[^/\x00-\x1f\x7f-\x9f]+$",
            example = "web1"
        )
    )]
    pub hostname: String,
    /// Labels of the host.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>, example = json!(["server"])))]
    pub roles: Vec<String>,
    /// Where the host is called; absent or empty means the address that the request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(schema_with = address))]
    pub ip: Option<String>,
    /// Ours: the port that the agent listens on; absent means 5050.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(minimum = 1, maximum = 65535, example = 5050)
    )]
    pub port: Option<u16>,
    /// Ours: the agent's version. Who sends it promises to end each script within its timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(
            min_length = 1,
            max_length = 255,
            pattern = r"^[^/\x00-\x1f\x7f-\x9f]+$",
            example = "1.0.0"
        )
    )]
    pub agent_version: Option<String>,
    /// Ours: lower-case hex SHA-256 over the DER of the agent's leaf certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(
            pattern = "^[0-9a-f]{64}$",
            example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
        )
    )]
    pub cert_sha256: Option<String>,
    /// Ours: the key with which this host wants to be called. Sent over TLS or loopback only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(
            min_length = 1,
            max_length = 255,
            pattern = "^[ -~]+$",
            example = "a key of 1 to 255 printable ASCII characters"
        )
    )]
    pub check_key: Option<String>,
    /// The checks by name.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<CheckName, RegisteredCheck>))]
    pub checks: BTreeMap<String, RegisteredCheck>,
}

/// The schema of an address that may be left out.
#[cfg(feature = "openapi")]
fn address() -> utoipa::openapi::Schema {
    use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type};
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let formatted = |format| text().format(Some(SchemaFormat::KnownFormat(format)));
    AnyOfBuilder::new()
        .description(Some("Where the host is called; absent or empty means the address that the request came from."))
        .item(ObjectBuilder::new().schema_type(Type::Null))
        .item(text().max_length(Some(0)))
        .item(formatted(KnownFormat::Ipv4))
        .item(formatted(KnownFormat::Ipv6))
        .examples(["10.0.0.7"])
        .build()
        .into()
}

/// The name of a check: a part of paths and of keys.
#[cfg(feature = "openapi")]
#[derive(utoipa::ToSchema)]
#[allow(dead_code)] // a description: names are text
#[schema(
    min_length = 1,
    max_length = 255,
    pattern = r"^[^/\x00-\x1f\x7f-\x9f]+$",
    example = "check_load"
)]
struct CheckName(String);

/// One check as its agent declares it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegisteredCheck {
    /// The script's path on the host; for people to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(example = "/usr/lib/nagios/plugins/check_load")
    )]
    pub cmd: Option<String>,
    /// The script's arguments, as configured.
    #[cfg_attr(feature = "openapi", schema(example = "-w 1,5,10 -c 2,10,15"))]
    pub args: String,
    /// Seconds between runs while ok, 1 to 604800.
    #[cfg_attr(
        feature = "openapi",
        schema(minimum = 1, maximum = 604_800, example = 15)
    )]
    pub interval: i64,
    /// Seconds between runs while failing, 1 to 604800.
    #[cfg_attr(
        feature = "openapi",
        schema(minimum = 1, maximum = 604_800, example = 15)
    )]
    pub follow_up: i64,
    /// 0 never notifies, 1 is the most urgent; above 2 counts as 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(minimum = 0, maximum = 9_223_372_036_854_775_807_i64, example = 1)
    )]
    pub priority: Option<i64>,
    /// Ours: seconds after which the agent ends the script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 3600, example = 10))]
    pub timeout: Option<i64>,
    /// Ours: failing runs in a row until an alert opens, for this check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1000, example = 3))]
    pub alert_threshold: Option<i64>,
    /// Ours: flips until the check counts as flapping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 2, maximum = 1000, example = 5))]
    pub flap_threshold: Option<i64>,
    /// Ours: seconds within which those flips happen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(minimum = 1, maximum = 604_800, example = 1200)
    )]
    pub flap_window: Option<i64>,
}

/// An agent's answer to `GET /NAME`: one entry, the check's name.
pub type AgentAnswer = BTreeMap<String, ScriptResult>;

/// What a script left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptResult {
    /// Exit code; 128 + n if signal n ended it; 3 after a time-out.
    pub status: i32,
    /// Trimmed standard output.
    pub out: String,
    /// Trimmed standard error.
    #[serde(default)]
    pub err: String,
    /// Ours: true if output was cut.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// A check as the API shows it. Times are unix seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Check {
    /// Opaque; a bigint in decimal.
    #[cfg_attr(feature = "openapi", schema(example = "17"))]
    pub id: String,
    /// The host's name.
    #[cfg_attr(feature = "openapi", schema(example = "web1"))]
    pub hostname: String,
    /// The host's address.
    #[cfg_attr(feature = "openapi", schema(example = "10.0.0.7"))]
    pub ip: String,
    /// The check's name.
    #[cfg_attr(feature = "openapi", schema(example = "check_load"))]
    pub check: String,
    /// True while ok, false while failing, null before the first run.
    #[cfg_attr(feature = "openapi", schema(required, example = true))]
    pub status: Option<bool>,
    /// Ours: `ok`, `warning`, `critical`, `unknown`, or null before the first run.
    #[cfg_attr(feature = "openapi", schema(required, value_type = Option<Status>))]
    pub state: Option<String>,
    /// First line of the last output without its performance data, at most 1 KiB.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "OK - load average: 0.1, 0.2, 0.1")
    )]
    pub out: String,
    /// When it last ran; 0 before the first run.
    #[cfg_attr(feature = "openapi", schema(example = 1_364_186_204))]
    pub last: i64,
    /// When it is due next.
    #[cfg_attr(feature = "openapi", schema(example = 1_364_186_219))]
    pub next: i64,
    /// Seconds between runs while ok.
    #[cfg_attr(feature = "openapi", schema(example = 15))]
    pub interval: i64,
    /// Seconds between runs while failing.
    #[cfg_attr(feature = "openapi", schema(example = 15))]
    pub follow_up: i64,
    /// 0 never notifies, 1 most urgent, 2.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 2, example = 1))]
    pub priority: i64,
    /// A worker holds it right now.
    #[cfg_attr(feature = "openapi", schema(example = false))]
    pub pending: bool,
    /// Does not run at all.
    #[cfg_attr(feature = "openapi", schema(example = false))]
    pub suspended: bool,
    /// Runs but does not notify.
    #[cfg_attr(feature = "openapi", schema(example = false))]
    pub in_maintenance: bool,
    /// Too many flips lately.
    #[cfg_attr(feature = "openapi", schema(example = false))]
    pub flapping: bool,
    /// Who has taken responsibility; empty for nobody.
    #[cfg_attr(feature = "openapi", schema(example = ""))]
    pub owner: String,
    /// Failing runs in a row.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, example = 0))]
    pub fail_count: i64,
    /// Ours: when the present state began; 0 before the first run.
    #[cfg_attr(feature = "openapi", schema(example = 1_364_100_000))]
    pub since: i64,
    /// Ours: performance data of that line, as the script wrote it; empty for none.
    #[cfg_attr(feature = "openapi", schema(example = "load1=0.1;1;2;0;"))]
    pub perfdata: String,
    /// Ours: how long the last run took, in milliseconds.
    #[cfg_attr(feature = "openapi", schema(example = 12.5))]
    pub latency_ms: f64,
    /// Ours: overdue by more than an interval, so that what is shown is old.
    #[cfg_attr(feature = "openapi", schema(example = false))]
    pub stale: bool,
}
