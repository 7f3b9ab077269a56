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
    /// Of this other cluster; `stalker clusters list` shows which there are
    #[arg(long)]
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
        find(client, None, &self.check).await
    }

    /// As [`One::find`], of a cluster.
    ///
    /// # Errors
    /// If there is no such check.
    pub(crate) async fn find_in(
        &self,
        client: &Client,
        cluster: Option<&str>,
    ) -> Result<Thing, Failure> {
        find(client, cluster, &self.check).await
    }
}

impl Named {
    /// Those checks, in the order in which they were named.
    ///
    /// # Errors
    /// If one of them is not there: then nothing is done to the others.
    pub(crate) async fn find(&self, client: &Client) -> Result<Vec<Thing>, Failure> {
        let cluster = self.cluster.as_deref();
        let mut found = Vec::new();
        for check in &self.which.checks {
            found.push(find(client, cluster, check).await?);
        }
        let prefix = prefix(cluster);
        for host in &self.which.host {
            let checks = of_host(client, &prefix, host).await?;
            found.extend(checks.iter().map(|check| thing(&prefix, check)));
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

async fn find(client: &Client, cluster: Option<&str>, name: &str) -> Result<Thing, Failure> {
    let prefix = prefix(cluster);
    if is_id(name) {
        return Ok(by_id(&prefix, name));
    }
    // in every way that it can be read: a host's name may hold a colon as well
    let mut found = Vec::new();
    for (host, check) in readings(name)? {
        let checks = match of_host(client, &prefix, host).await {
            Err(failure) if failure.status == Some(404) => continue,
            checks => checks?,
        };
        found.extend(checks.into_iter().filter(|found| found["check"] == *check));
    }
    match found.as_slice() {
        [check] => return Ok(thing(&prefix, check)),
        [] => {}
        several => return Err(ambiguous(name, several)),
    }
    Err(match cluster {
        None => Failure::refused(404, format!("there is no check {name}"))
            .hint("`stalker checks list` shows what there is"),
        Some(cluster) => Failure::refused(404, format!("there is no check {name} of {cluster}"))
            .hint(format!(
                "`stalker checks list --state alerting --cluster {cluster}` shows what is failing there"
            )),
    })
}

/// The way to a cluster's checks: another one's go through ours.
pub(super) fn prefix(cluster: Option<&str>) -> String {
    cluster.map_or_else(String::new, |cluster| {
        format!("/global/{}", escaped(cluster))
    })
}

async fn of_host(client: &Client, prefix: &str, host: &str) -> Result<Vec<Value>, Failure> {
    let path = format!("{prefix}/checks/host/{}", escaped(host));
    let mut document = client.list(&path, "checks", &[]).await?;
    let checks = document["checks"].take();
    Ok(checks.as_array().cloned().unwrap_or_default())
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
