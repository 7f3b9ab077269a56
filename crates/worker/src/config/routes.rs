//! `[[routes]]`: which alerts concern which channels (semantics.md, decision 5).

use std::collections::BTreeMap;

use anyhow::ensure;
use serde::{Deserialize, Deserializer};
use stalker_db::routes;

use super::Channel;

/// One route: what it matches, who is told, and whether later routes are asked as well.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// All that is given must match; nothing given matches everything.
    #[serde(default, rename = "match")]
    pub matches: Match,
    /// Names of channels.
    pub channels: Vec<String>,
    /// The next route is asked as well.
    #[serde(default, rename = "continue")]
    pub continues: bool,
}

/// What an alert must be like. Each is one value or a list; text may hold `*` and `?`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// Names of hosts.
    #[serde(deserialize_with = "one_or_many")]
    pub host: Option<Vec<String>>,
    /// Roles, one of which the host must have.
    #[serde(deserialize_with = "one_or_many")]
    pub role: Option<Vec<String>>,
    /// Names of checks.
    #[serde(deserialize_with = "one_or_many")]
    pub check: Option<Vec<String>>,
    /// Kinds of checks: `agent`; and `cluster`.
    #[serde(deserialize_with = "one_or_many")]
    pub kind: Option<Vec<String>>,
    /// 1, 2.
    #[serde(deserialize_with = "one_or_many")]
    pub priority: Option<Vec<i16>>,
    /// `warning`, `critical`, `unknown`; of a host or a cluster `unreachable`.
    #[serde(deserialize_with = "one_or_many")]
    pub status: Option<Vec<String>>,
}

const STATUSES: [&str; 4] = ["warning", "critical", "unknown", "unreachable"];

impl Route {
    /// Refuses what could never match, or would tell nobody.
    pub(super) fn validate(&self, channels: &BTreeMap<String, Channel>) -> anyhow::Result<()> {
        ensure!(
            !self.channels.is_empty(),
            "channels is empty: nobody would be told"
        );
        for channel in &self.channels {
            ensure!(
                channels.contains_key(channel),
                "channels names {channel}, which is not configured under [channels]"
            );
        }
        let Match {
            host,
            role,
            check,
            kind,
            priority,
            status,
        } = &self.matches;
        for (name, patterns) in [
            ("host", host),
            ("role", role),
            ("check", check),
            ("kind", kind),
            ("status", status),
        ] {
            ensure!(
                patterns
                    .as_ref()
                    .is_none_or(|patterns| !patterns.is_empty()),
                "match.{name} is an empty list, which nothing matches"
            );
        }
        ensure!(
            priority
                .as_ref()
                .is_none_or(|priorities| !priorities.is_empty()),
            "match.priority is an empty list, which nothing matches"
        );
        for priority in priority.iter().flatten() {
            ensure!(
                matches!(priority, 1 | 2),
                "match.priority is {priority}; alerts that are told have priority 1 or 2"
            );
        }
        for status in status.iter().flatten() {
            ensure!(
                STATUSES.contains(&status.as_str()),
                "match.status is {status}; it must be one of {}",
                STATUSES.join(", ")
            );
        }
        Ok(())
    }

    /// What the database knows of it; `channels` are those that are told, by recipient.
    pub(crate) fn row(&self, channels: &BTreeMap<String, Channel>) -> routes::Route {
        let matches = self.matches.clone();
        let is_named = |(name, channel): &(&String, &Channel)| {
            self.channels
                .contains(channel.part_of.as_ref().unwrap_or(name))
        };
        routes::Route {
            hosts: matches.host,
            roles: matches.role,
            checks: matches.check,
            kinds: matches.kind,
            priorities: matches.priority,
            statuses: matches.status,
            channels: channels
                .iter()
                .filter(is_named)
                .map(|(name, _)| name.clone())
                .collect(),
            continues: self.continues,
        }
    }
}

fn one_or_many<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany<T> {
        One(T),
        Many(Vec<T>),
    }
    Ok(Some(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    }))
}
