//! What people do to checks.

use chrono::TimeDelta;
use clap::Args;
use serde_json::{Value, json};

use super::named::Named;
use crate::client::Client;
use crate::confirm::Confirmed;
use crate::context::user_of_this_system;
use crate::each::each;
use crate::failure::Failure;
use crate::output::Answer;
use crate::times;

/// When a check is to run.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct When {
    /// At this time, such as 2030-01-31T22:00:00+01:00, or "2030-01-31 22:00" in UTC
    #[arg(long, value_name = "TIME", value_parser = times::at)]
    at: Option<i64>,
    /// After so long, such as 90s, 30m, 2h
    #[arg(long = "in", value_name = "TIME", value_parser = times::lasting)]
    after: Option<TimeDelta>,
}

/// # Errors
/// If one of them is not there; as all of these.
pub(crate) async fn run(client: &Client, named: &Named) -> Result<Answer, Failure> {
    post(client, named, "runs now", "next", &json!({"next": "now"})).await
}

pub(crate) async fn reschedule(
    client: &Client,
    named: &Named,
    when: &When,
) -> Result<Answer, Failure> {
    let at = when
        .at
        .unwrap_or_else(|| times::from_now(when.after.unwrap_or_default()));
    let done = format!("runs at {}", times::utc(Some(at)));
    post(client, named, &done, "next", &json!({"next": at})).await
}

pub(crate) async fn suspend(client: &Client, named: &Named) -> Result<Answer, Failure> {
    let body = json!({"suspended": true});
    post(client, named, "is suspended", "suspended", &body).await
}

pub(crate) async fn resume(client: &Client, named: &Named) -> Result<Answer, Failure> {
    let body = json!({"suspended": false});
    post(client, named, "runs again", "suspended", &body).await
}

pub(crate) async fn own(
    client: &Client,
    named: &Named,
    owner: Option<&str>,
) -> Result<Answer, Failure> {
    let owner = owner
        .or(client.user())
        .map(str::to_owned)
        .or_else(user_of_this_system)
        .ok_or_else(|| Failure::usage("who takes it is not known").hint("say --as NAME"))?;
    let done = format!("is owned by {owner}");
    post(client, named, &done, "owner", &json!({"owner": owner})).await
}

pub(crate) async fn disown(client: &Client, named: &Named) -> Result<Answer, Failure> {
    let checks = named.find(client).await?;
    let act = async |path: &str| client.delete(&format!("{path}/owner")).await;
    Ok(each(&checks, "is owned by nobody", async |check| {
        act(&check.path).await
    })
    .await)
}

pub(crate) async fn delete(
    client: &Client,
    named: &Named,
    confirmed: &Confirmed,
) -> Result<Answer, Failure> {
    let checks = named.find(client).await?;
    let of_cluster = named.of_cluster();
    confirmed.ask(&match checks.as_slice() {
        [check] => format!("Delete the check {}{of_cluster}?", check.name),
        checks => {
            let words = named.in_words();
            format!("Delete {} checks ({words}){of_cluster}?", checks.len())
        }
    })?;
    Ok(each(&checks, "is deleted", async |check| {
        client.delete(&check.path).await
    })
    .await)
}

async fn post(
    client: &Client,
    named: &Named,
    done: &str,
    part: &str,
    body: &Value,
) -> Result<Answer, Failure> {
    let checks = named.find(client).await?;
    let act = async |path: &str| client.post(&format!("{path}/{part}"), body).await;
    Ok(each(&checks, done, async |check| act(&check.path).await).await)
}
