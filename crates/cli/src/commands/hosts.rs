//! Hosts.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use serde_json::{Value, json};

use super::part::Part;
use super::{checks, notes};
use crate::client::{Client, escaped};
use crate::completions;
use crate::confirm::Confirmed;
use crate::failure::Failure;
use crate::output::{Answer, Shown, Table, Text};

/// What can be done with hosts.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Hosts, their addresses and roles
    #[command(visible_alias = "ls")]
    List(Filter),
    /// A host, its checks and its latest notes
    Show(One),
    /// The latest notes about a host
    Notes(notes::Notes),
    /// Adds a note about a host
    Note(notes::Note),
    /// The certificate that the host's agent must show
    #[command(subcommand)]
    Pin(Pin),
    /// Lets another agent register by this name, as when the machine was set up anew
    Release(Sure),
    /// Deletes a host and its checks; its history stays
    #[command(visible_alias = "rm")]
    Delete {
        #[command(flatten)]
        sure: Sure,
        /// Of this other cluster
        #[arg(long)]
        cluster: Option<String>,
    },
}

/// What can be done with a certificate.
#[derive(Debug, Subcommand)]
pub(crate) enum Pin {
    /// Which it is, and how it became known
    Show(One),
    /// Forgets it: the next one that the agent shows is taken for its own
    Reset(Sure),
}

/// A host.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// Name or address of the host
    #[arg(add = ArgValueCompleter::new(completions::hosts))]
    host: String,
}

/// A host to which something is done that cannot be taken back.
#[derive(Debug, Args)]
pub(crate) struct Sure {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    confirmed: Confirmed,
}

/// Which hosts are wanted.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Those with this role
    #[arg(long)]
    role: Option<String>,
    #[command(flatten)]
    part: Part,
}

impl One {
    fn path(&self) -> String {
        format!("/hosts/{}", escaped(&self.host))
    }
}

impl Command {
    /// # Errors
    /// Why it could not be done.
    pub(crate) async fn run(&self, client: &Client) -> Result<Answer, Failure> {
        match self {
            Self::List(filter) => list(client, filter).await,
            Self::Show(one) => show(client, one).await,
            Self::Notes(notes) => notes.list(client).await,
            Self::Note(note) => note.add(client).await,
            Self::Pin(Pin::Show(one)) => pin(client, one).await,
            Self::Pin(Pin::Reset(Sure { one, confirmed })) => {
                let host = &one.host;
                confirmed.ask(&format!("Trust whatever certificate {host} shows next?"))?;
                let answer = client.delete(&format!("{}/pin", one.path())).await?;
                Ok(Answer::done(
                    format!("the certificate of {host} is forgotten"),
                    answer,
                ))
            }
            Self::Release(Sure { one, confirmed }) => {
                let host = &one.host;
                confirmed.ask(&format!("Let whichever agent registers next be {host}?"))?;
                let answer = client.delete(&format!("{}/token", one.path())).await?;
                Ok(Answer::done(format!("{host} is released"), answer))
            }
            Self::Delete {
                sure: Sure { one, confirmed },
                cluster,
            } => {
                let host = &one.host;
                let of_cluster = cluster
                    .as_ref()
                    .map_or_else(String::new, |cluster| format!(" of cluster {cluster}"));
                confirmed.ask(&format!("Delete {host}{of_cluster} and all of its checks?"))?;
                let cluster = cluster
                    .as_ref()
                    .map(|id| format!("/global/{}", escaped(id)));
                let path = format!("{}{}", cluster.unwrap_or_default(), one.path());
                let answer = client.delete(&path).await?;
                Ok(Answer::done(format!("{host} is deleted"), answer))
            }
        }
    }
}

async fn list(client: &Client, filter: &Filter) -> Result<Answer, Failure> {
    let document = client
        .list(
            "/hosts",
            "hosts",
            &filter.part.of([("role", filter.role.clone())]),
        )
        .await?;
    let columns = [
        "HOST",
        "ADDRESS",
        "ROLES",
        "CHECKS",
        "AGENT",
        "ID+",
        "AGENT AT+",
        "CERTIFICATE+",
    ];
    let mut table = Table::new(&columns, "no hosts");
    for host in document["hosts"].as_array().into_iter().flatten() {
        let text = |field: &str| host[field].as_str().unwrap_or_default();
        table.row([
            text("hostname").into(),
            text("ip").into(),
            roles(host).into(),
            host["checks"]
                .as_object()
                .map_or(0, serde_json::Map::len)
                .to_string()
                .into(),
            text("agent_version").into(),
            text("id").into(),
            format!("{}:{}", text("ip"), host["port"]).into(),
            text("cert_sha256").into(),
        ]);
    }
    Ok(Answer::table(table, document))
}

async fn show(client: &Client, one: &One) -> Result<Answer, Failure> {
    let host = client.get(&one.path()).await?;
    client.require(host["hostname"].is_string(), "hostname")?;
    let name = escaped(&one.host);
    let mut checks = client
        .list(&format!("/checks/host/{name}"), "checks", &[])
        .await?;
    let limit = [("limit", Some("5".to_owned()))];
    let mut notes = client
        .list(&format!("/notes/{name}"), "notes", &limit)
        .await?;
    let text = |field: &str| host[field].as_str().unwrap_or_default();
    let token = match host["has_token"] == true {
        true => "is held by its agent; `stalker hosts release` lets another one have it",
        false => "is free for any agent that knows the register key",
    };
    let sheet = vec![
        ("host", text("hostname").into()),
        ("address", format!("{}:{}", text("ip"), host["port"]).into()),
        ("roles", roles(&host).into()),
        ("agent", text("agent_version").into()),
        ("certificate", text("cert_sha256").into()),
        ("name", token.into()),
        ("id", text("id").into()),
    ];
    let of_host = checks["checks"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let parts = vec![
        ("Checks", checks::table(of_host)),
        ("Notes, the latest last", notes::table(&notes)),
    ];
    Ok(Answer::Shown(Shown {
        is_alerting: of_host.iter().any(|check| check["status"] == false),
        text: Text::Sheet(sheet, parts),
        document: json!({"host": host, "checks": checks["checks"].take(), "notes": notes["notes"].take()}),
    }))
}

async fn pin(client: &Client, one: &One) -> Result<Answer, Failure> {
    let document = client.get(&format!("{}/pin", one.path())).await?;
    client.require(
        document["cert_sha256"].is_string() || document["cert_sha256"].is_null(),
        "cert_sha256",
    )?;
    let text = |field: &str| document[field].as_str();
    let origin = match text("cert_origin") {
        Some("first_seen") => "from its first answer",
        Some("registered") => "from its registration",
        _ => "",
    };
    let sheet = vec![
        (
            "certificate",
            text("cert_sha256").unwrap_or("none is known yet").into(),
        ),
        ("known", origin.into()),
    ];
    Ok(Answer::Shown(Shown {
        is_alerting: false,
        text: Text::Sheet(sheet, Vec::new()),
        document,
    }))
}

fn roles(host: &Value) -> String {
    let roles = host["roles"].as_array().into_iter().flatten();
    roles
        .filter_map(Value::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}
