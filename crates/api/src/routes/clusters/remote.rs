//! What somebody here wants to know of, or have done at, another cluster: asked with our key, and written down on both sides
//! with the name of whoever wanted it.

use axum::Json;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use stalker_clusters::{Checks, Cluster, Failure, Reply, refusal};
use stalker_db::audit::Deed;
use tracing::error;

use super::super::Success;
use crate::App;
use crate::access::Caller;
use crate::error::Error;
use crate::list::Part;

/// All but what RFC 3986 leaves alone.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What is to be done at another cluster.
pub(super) struct Wanted {
    /// The operation of ours.
    pub(super) action: &'static str,
    /// What it is done to there, as in `check 17`.
    pub(super) subject: String,
    pub(super) method: Method,
    /// Of the other cluster's API.
    pub(super) path: String,
    pub(super) body: Option<Value>,
}

/// The cluster of this id.
pub(super) fn named<'a>(app: &'a App, id: &str) -> Result<&'a Cluster, Error> {
    app.config
        .clusters
        .get(id)
        .ok_or_else(|| Error::field("cluster", format!("{id:?} is not known here")))
}

/// A name as one part of a path there. What would lead to another path names nothing.
pub(super) fn part(name: &str) -> Result<String, Error> {
    if matches!(name, "" | "." | "..") {
        return Err(Error::NotFound(format!("nothing is called {name:?}")));
    }
    Ok(utf8_percent_encode(name, &ESCAPED).to_string())
}

/// When nothing was ever heard of a cluster.
pub(super) fn nothing_known(cluster: &str, why: Option<&str>) -> Error {
    let why = why.unwrap_or("it was not asked");
    Error::Elsewhere(format!("cluster {cluster} cannot be reached: {why}"))
}

/// The checks of a host of another cluster, as they are now.
pub(super) async fn checks_of_host(
    app: &App,
    cluster: &str,
    host: &str,
    which: Part,
) -> Result<Response, Error> {
    let reply = ask(app, cluster, &format!("/checks/host/{}", part(host)?)).await?;
    let checks = Checks::of_host(&reply).map_err(|why| unreadable(cluster, &why))?;
    let around = [r#"{"checks":["#, "]}"].map(str::to_owned);
    Ok(super::send(around, &checks, which))
}

/// One check of another cluster, as it is now.
pub(super) async fn check(app: &App, cluster: &str, id: &str) -> Result<Response, Error> {
    let reply = ask(app, cluster, &format!("/checks/id/{}", part(id)?)).await?;
    let check = stalker_clusters::check(&reply).map_err(|why| unreadable(cluster, &why))?;
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((json, format!("{{\"check\":{check}}}")).into_response())
}

/// A good answer, asked for just now.
async fn ask(app: &App, cluster: &str, path: &str) -> Result<Reply, Error> {
    let reply = named(app, cluster)?.ask(path).await;
    judged(
        cluster,
        reply.map_err(|failure| unanswered(cluster, failure))?,
    )
}

fn unreadable(cluster: &str, why: &str) -> Error {
    Error::Elsewhere(format!("what cluster {cluster} says cannot be read: {why}"))
}

/// Has something done, and writes it down, also if whoever wanted it does not wait for the answer.
pub(super) async fn act(
    app: App,
    caller: Caller,
    cluster: String,
    wanted: Wanted,
) -> Result<Json<Success>, Error> {
    named(&app, &cluster)?;
    let work = tokio::spawn(async move { perform(&app, &caller, &cluster, wanted).await });
    work.await.map_err(|_| Error::Internal)?
}

async fn perform(
    app: &App,
    caller: &Caller,
    cluster: &str,
    wanted: Wanted,
) -> Result<Json<Success>, Error> {
    let somebody = caller.actor.on_behalf_of.as_ref();
    let somebody = somebody.unwrap_or(&caller.actor.name);
    let name = format!("{somebody}@{}", app.config.cluster_id);
    let Wanted {
        action,
        subject,
        method,
        path,
        body,
    } = wanted;
    let there = named(app, cluster)?;
    let reply = there.act(method, &path, body.as_ref(), &name).await;
    let result = match reply {
        Ok(reply) => judged(cluster, reply).map(drop),
        Err(failure) => Err(unanswered(cluster, failure)),
    };
    // what may have been done is written down, and what was not done is not
    if matches!(result, Ok(()) | Err(Error::Unanswered(_))) {
        let deed = Deed {
            action,
            subject: format!("{subject} of cluster {cluster}"),
            before: None,
            after: body,
        };
        let mut conn = app.pool.acquire().await.inspect_err(|_| lost(&deed))?;
        caller.audit(&mut conn, deed).await?;
    }
    result.map(|()| Json(Success::YES))
}

fn lost(deed: &Deed<'_>) {
    error!(
        action = deed.action,
        subject = deed.subject,
        "was done, and cannot be written down here; it is there"
    );
}

/// A reply that is a good answer.
fn judged(cluster: &str, reply: Reply) -> Result<Reply, Error> {
    /// The original says so of what is not there.
    #[derive(Deserialize)]
    struct Done {
        success: bool,
    }
    let said = || format!("cluster {cluster}: {}", refusal(&reply));
    Err(match reply.status {
        status if status.is_success() => {
            return match serde_json::from_slice(&reply.body) {
                Ok(Done { success: false }) => Err(Error::NotFound(format!(
                    "cluster {cluster} has nothing of this id or name"
                ))),
                _ => Ok(reply),
            };
        }
        StatusCode::BAD_REQUEST => Error::BadRequest(said()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::RefusedElsewhere(format!(
            "cluster {cluster} does not let our key do this: {}",
            refusal(&reply)
        )),
        StatusCode::NOT_FOUND => Error::NotFound(said()),
        StatusCode::CONFLICT => Error::Conflict(said()),
        _ => Error::Elsewhere(said()),
    })
}

fn unanswered(cluster: &str, failure: Failure) -> Error {
    match failure {
        Failure::Unreached(why) => Error::Elsewhere(format!(
            "cluster {cluster} cannot be reached, nothing was done: {why}"
        )),
        Failure::Unanswered(why) => Error::Unanswered(format!(
            "cluster {cluster} was asked, and may have done it: {why}"
        )),
    }
}
