//! Which checks are meant.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde_json::Value;

use crate::client::{Client, escaped};
use crate::completions;
use crate::each::Thing;
use crate::failure::Failure;

/// One check.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// HOST:CHECK, HOST/CHECK or an id
    #[arg(value_name = "CHECK", add = ArgValueCompleter::new(completions::checks))]
    check: String,
}

/// One check or several.
#[derive(Debug, Args)]
pub(crate) struct Named {
    #[command(flatten)]
    which: Which,
    /// Of this other cluster, where checks are found while they fail or are suspended; `stalker clusters list` shows them
    #[arg(long, conflicts_with = "host")]
    cluster: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Which {
    /// HOST:CHECK, HOST/CHECK or an id
    #[arg(value_name = "CHECK", add = ArgValueCompleter::new(completions::checks))]
    checks: Vec<String>,
    /// All checks of this host
    #[arg(long, add = ArgValueCompleter::new(completions::hosts))]
    host: Vec<String>,
}

impl One {
    /// # Errors
    /// If there is no such check.
    pub(crate) async fn find(&self, client: &Client) -> Result<Thing, Failure> {
        find(client, &self.check).await
    }
}

impl Named {
    /// Those checks, in the order in which they were named.
    ///
    /// # Errors
    /// If one of them is not there: then nothing is done to the others.
    pub(crate) async fn find(&self, client: &Client) -> Result<Vec<Thing>, Failure> {
        let mut found = Vec::new();
        for check in &self.which.checks {
            found.push(match &self.cluster {
                Some(cluster) => find_in(client, cluster, check).await?,
                None => find(client, check).await?,
            });
        }
        for host in &self.which.host {
            let path = format!("/checks/host/{}", escaped(host));
            let document = client.list(&path, "checks", &[]).await?;
            let checks = document["checks"].as_array();
            found.extend(checks.into_iter().flatten().map(|check| thing("", check)));
        }
        Ok(found)
    }

    /// Where they are, if it is not here.
    pub(crate) fn of_cluster(&self) -> String {
        let cluster = self.cluster.as_ref();
        cluster.map_or_else(String::new, |cluster| format!(" of cluster {cluster}"))
    }

    /// As a question has it.
    pub(crate) fn in_words(&self) -> String {
        let hosts = self.which.host.iter().map(|host| format!("all of {host}"));
        let checks = self.which.checks.iter();
        checks.cloned().chain(hosts).collect::<Vec<_>>().join(", ")
    }
}

async fn find(client: &Client, name: &str) -> Result<Thing, Failure> {
    if is_id(name) {
        return Ok(by_id("", name));
    }
    // in every way that it can be read: a host's name may hold a colon as well
    let mut found = Vec::new();
    for (host, check) in readings(name)? {
        let filters = [
            ("host", Some(host.to_owned())),
            ("check", Some(check.to_owned())),
        ];
        let document = client.list("/checks", "checks", &filters).await?;
        found.extend(document["checks"].as_array().into_iter().flatten().cloned());
    }
    match found.as_slice() {
        [check] => return Ok(thing("", check)),
        [] => {}
        several => return Err(ambiguous(name, several)),
    }
    Err(Failure::refused(404, format!("there is no check {name}"))
        .hint("`stalker checks list` shows what there is"))
}

/// Another cluster shows us lists of what is failing or suspended, and nothing else.
async fn find_in(client: &Client, cluster: &str, name: &str) -> Result<Thing, Failure> {
    let prefix = format!("/global/{}", escaped(cluster));
    if is_id(name) {
        return Ok(by_id(&prefix, name));
    }
    let readings = readings(name)?;
    for state in ["alerting", "suspended"] {
        let path = format!("{prefix}/checks/state/{state}");
        let document = client.list_within(&path, &[cluster, state], &[]).await?;
        let checks = document[cluster][state].as_array();
        let found = checks.into_iter().flatten().find(|check| {
            readings
                .iter()
                .any(|(host, name)| check["hostname"] == *host && check["check"] == *name)
        });
        if let Some(check) = found {
            return Ok(thing(&prefix, check));
        }
    }
    Err(Failure::refused(
        404,
        format!("no check {name} of {cluster} is failing or suspended"),
    )
    .hint(format!(
        "`stalker checks list --state alerting --cluster {cluster}` shows those that are"
    )))
}

fn is_id(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// A name as host and check: the first colon divides them, unless the host is an IPv6 address or there is none.
fn readings(name: &str) -> Result<Vec<(&str, &str)>, Failure> {
    let mut readings: Vec<_> = [
        name.split_once(':'),
        name.rsplit_once(':'),
        name.split_once('/'),
    ]
    .into_iter()
    .flatten()
    .filter(|(host, check)| !host.is_empty() && !check.is_empty())
    .collect();
    readings.dedup();
    if readings.is_empty() {
        return Err(Failure::usage(format!("{name:?} names no check"))
            .hint("HOST:CHECK, HOST/CHECK or an id"));
    }
    Ok(readings)
}

fn by_id(prefix: &str, id: &str) -> Thing {
    Thing {
        path: format!("{prefix}/checks/id/{id}"),
        name: id.to_owned(),
    }
}

fn thing(prefix: &str, check: &Value) -> Thing {
    let text = |field: &str| check[field].as_str().unwrap_or_default();
    Thing {
        path: format!("{prefix}/checks/id/{}", escaped(text("id"))),
        name: format!("{}:{}", text("hostname"), text("check")),
    }
}

fn ambiguous(name: &str, checks: &[Value]) -> Failure {
    let said: Vec<_> = checks
        .iter()
        .map(|check| {
            let host = check["hostname"].as_str().unwrap_or_default();
            format!("{} ({host})", check["id"].as_str().unwrap_or_default())
        })
        .collect();
    Failure::usage(format!("{name} is more than one check")).hint(format!(
        "name it by its id: {}",
        crate::output::printable(&said.join(", "))
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_in_every_way_that_it_can_be_meant() {
        for (name, expected) in [
            ("web1:check_load", vec![("web1", "check_load")]),
            ("web1/check_load", vec![("web1", "check_load")]),
            (
                "fe80::1:check",
                vec![("fe80", ":1:check"), ("fe80::1", "check")],
            ),
            ("a:b/c", vec![("a", "b/c"), ("a:b", "c")]),
        ] {
            assert_eq!(readings(name).expect("it can be read"), expected, "{name}");
        }
        for name in ["web1", ":check", "web1:", ""] {
            assert!(readings(name).is_err(), "{name}");
        }
        assert!(is_id("17") && !is_id("web1") && !is_id(""));
    }
}
