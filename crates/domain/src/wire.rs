//! The shapes that travel between agents, servers and people, with the original system's field names.
//!
//! These names are a promise: an agent, a script or a client of the original system keeps working. Inside the
//! system the words of the glossary are used; only this file and the routes know the wire's. Fields marked
//! *ours* are additions that others may leave out. Unknown fields are ignored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Header with which a server calls an agent.
pub const CHECK_KEY_HEADER: &str = "x-check-key";
/// Header with which an agent registers.
pub const REGISTER_KEY_HEADER: &str = "x-register-key";
/// Ours: header with which an agent shows that it is the one that has registered its name before.
pub const AGENT_TOKEN_HEADER: &str = "x-agent-token";
/// Header with which a client calls the API.
pub const API_KEY_HEADER: &str = "x-api-key";

/// What an agent sends to `POST /register`: itself, and every check that it offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Registration {
    /// The name under which the host is known; unique in a cluster.
    pub hostname: String,
    /// Labels of the host.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Where the host is called; absent or empty means the address that the request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Ours: the port that the agent listens on; absent means 5050.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Ours: the agent's version. Who sends it promises to end each script within its timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// Ours: lower-case hex SHA-256 over the DER of the agent's leaf certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_sha256: Option<String>,
    /// Ours: the key with which this host wants to be called. Sent over TLS or loopback only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_key: Option<String>,
    /// The checks by name.
    pub checks: BTreeMap<String, RegisteredCheck>,
}

/// One check as its agent declares it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegisteredCheck {
    /// The script's path on the host; for people to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<String>,
    /// The script's arguments, as configured.
    pub args: String,
    /// Seconds between runs while ok, 1 to 604800.
    pub interval: i64,
    /// Seconds between runs while failing, 1 to 604800.
    pub follow_up: i64,
    /// 0 never notifies, 1 is the most urgent; above 2 counts as 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// Ours: seconds after which the agent ends the script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// Ours: failing runs in a row until an alert opens, for this check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert_threshold: Option<i64>,
    /// Ours: flips until the check counts as flapping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flap_threshold: Option<i64>,
    /// Ours: seconds within which those flips happen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    pub id: String,
    /// The host's name.
    pub hostname: String,
    /// The host's address.
    pub ip: String,
    /// The check's name.
    pub check: String,
    /// True while ok, false while failing, null before the first run.
    pub status: Option<bool>,
    /// Ours: `ok`, `warning`, `critical`, `unknown`, or null before the first run.
    pub state: Option<String>,
    /// First line of the last output without its performance data, at most 1 KiB.
    pub out: String,
    /// When it last ran; 0 before the first run.
    pub last: i64,
    /// When it is due next.
    pub next: i64,
    /// Seconds between runs while ok.
    pub interval: i64,
    /// Seconds between runs while failing.
    pub follow_up: i64,
    /// 0 never notifies, 1 most urgent, 2.
    pub priority: i64,
    /// A worker holds it right now.
    pub pending: bool,
    /// Does not run at all.
    pub suspended: bool,
    /// Runs but does not notify.
    pub in_maintenance: bool,
    /// Too many flips lately.
    pub flapping: bool,
    /// Who has taken responsibility; empty for nobody.
    pub owner: String,
    /// Failing runs in a row.
    pub fail_count: i64,
    /// Ours: when the present state began; 0 before the first run.
    pub since: i64,
    /// Ours: performance data of that line, as the script wrote it; empty for none.
    pub perfdata: String,
    /// Ours: how long the last run took, in milliseconds.
    pub latency_ms: f64,
    /// Ours: overdue by more than an interval, so that what is shown is old.
    pub stale: bool,
}
