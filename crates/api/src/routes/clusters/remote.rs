//! What somebody here wants to know of, or have done at, another cluster: asked with our key, and written down on both sides
//! with the name of whoever wanted it.

use axum::Json;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use stalker_clusters::{Checks, Cluster, Failure, Reply, is_done, refusal, words};
use stalker_db::audit::{Actor, Deed};
use stalker_domain::wire::KEY_REFUSED;
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

/// A name as one part of a path there. What could lead to another path, be it by way of a proxy, names nothing.
pub(super) fn segment(name: &str) -> Result<String, Error> {
    let leads_elsewhere = |c: char| matches!(c, '/' | '\\') || c.is_control();
    if matches!(name, "" | "." | "..") || name.contains(leads_elsewhere) {
        return Err(Error::NotFound(format!("nothing is called {name:?}")));
    }
    Ok(utf8_percent_encode(name, &ESCAPED).to_string())
}

/// When nothing was ever heard of a cluster.
pub(super) fn nothing_known(cluster: &str, why: Option<&str>) -> Error {
    let why = why.unwrap_or("it was not asked");
    Error::Elsewhere(format!("nothing is known of cluster {cluster} yet: {why}"))
}

/// The checks of a host of another cluster, as they are now.
pub(super) async fn checks_of_host(
    app: &App,
    cluster: &str,
    host: &str,
    part: Part,
) -> Result<Response, Error> {
    let path = format!("/checks/host/{}", segment(host)?);
    let reply = told(cluster, named(app, cluster)?.list(&path).await)?;
    let checks = Checks::of_host(reply).await;
    let checks = checks.map_err(|why| Error::Elsewhere(format!("cluster {cluster}: {why}")))?;
    let around = [r#"{"checks":["#, "]}"].map(str::to_owned);
    Ok(super::send(around, &checks, part))
}

/// One check of another cluster, as it is now.
pub(super) async fn check(app: &App, cluster: &str, id: &str) -> Result<Response, Error> {
    let path = format!("/checks/id/{}", segment(id)?);
    let reply = told(cluster, named(app, cluster)?.ask(&path).await)?;
    let check = stalker_clusters::check(&reply).map_err(|why| {
        Error::Elsewhere(format!("what cluster {cluster} says cannot be read: {why}"))
    })?;
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((json, format!("{{\"check\":{check}}}")).into_response())
}

/// What a cluster says, if it is an answer.
fn told(cluster: &str, reply: Result<Reply, Failure>) -> Result<Reply, Error> {
    let reply = reply.map_err(|failure| {
        let why = failure.why();
        Error::Elsewhere(format!("cluster {cluster} cannot be reached: {why}"))
    })?;
    match reply.status {
        status if status.is_success() => Ok(reply),
        status if status.is_server_error() => Err(Error::Elsewhere(said(cluster, &reply))),
        _ => Err(refused(cluster, &reply)),
    }
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
    let Wanted {
        action,
        subject,
        method,
        path,
        body,
    } = wanted;
    let somebody = format!("{}@{}", in_full(&caller.actor), app.config.cluster_id);
    let there = named(app, cluster)?;
    let reply = there.act(method, &path, body.as_ref(), &somebody).await;
    let result = done(cluster, reply);
    // what may have been done is written down, and what was not done is not
    if matches!(result, Ok(()) | Err(Error::Unanswered(_))) {
        let deed = Deed {
            action,
            subject: format!("{subject} of cluster {cluster}"),
            before: None,
            after: body,
        };
        write_down(app, caller, cluster, deed).await?;
    }
    result.map(|()| Json(Success::YES))
}

/// Who it is, with whom they say that they act for: that alone anybody could say.
fn in_full(actor: &Actor) -> String {
    match &actor.on_behalf_of {
        Some(somebody) => format!("{somebody} ({})", actor.name),
        None => actor.name.clone(),
    }
}

/// If it cannot be written down here, whoever wanted it must not take it for not done.
async fn write_down(
    app: &App,
    caller: &Caller,
    cluster: &str,
    deed: Deed<'_>,
) -> Result<(), Error> {
    let (action, subject) = (deed.action, deed.subject.clone());
    let written = async {
        let mut conn = app.pool.acquire().await?;
        caller.audit(&mut conn, deed).await
    };
    written.await.map_err(|error| {
        error!(%error, action, subject, "was done, and cannot be written down here; it is written down there");
        Error::Unanswered(format!(
            "cluster {cluster} was asked and may have done it, but the database here does not answer: it is written down there only"
        ))
    })
}

/// Whether a cluster did what it was asked to.
fn done(cluster: &str, reply: Result<Reply, Failure>) -> Result<(), Error> {
    let perhaps = |why: &str| {
        Error::Unanswered(format!(
            "cluster {cluster} was asked, and may have done it: {why}"
        ))
    };
    let reply = match reply {
        Ok(reply) => reply,
        Err(Failure::Unreached(why)) => {
            return Err(Error::Elsewhere(format!(
                "cluster {cluster} cannot be reached, nothing was done: {why}"
            )));
        }
        Err(Failure::Unanswered(why)) => return Err(perhaps(&why)),
    };
    match (reply.status, is_done(&reply)) {
        (status, Some(true)) if status.is_success() => Ok(()),
        // the original says so of what is not there
        (status, Some(false)) if status.is_success() => Err(Error::NotFound(format!(
            "cluster {cluster} has nothing of this id or name"
        ))),
        // a page, perhaps, of whatever stands there instead
        (status, None) if status.is_success() => Err(Error::Elsewhere(format!(
            "cluster {cluster} does not say that it was done: is something else at its address?"
        ))),
        // of itself, or of what stands before it and did not wait
        (status, _) if status.is_server_error() => Err(perhaps(&refusal(&reply))),
        _ => Err(refused(cluster, &reply)),
    }
}

/// A cluster's no, as ours.
fn refused(cluster: &str, reply: &Reply) -> Error {
    match reply.status {
        StatusCode::BAD_REQUEST if words(reply).is_none() => Error::BadRequest(format!(
            "{}; one of the original's says so of what is not there, of what is so already, and of resuming",
            said(cluster, reply)
        )),
        StatusCode::BAD_REQUEST => Error::BadRequest(said(cluster, reply)),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::RefusedElsewhere(format!(
            "cluster {cluster} {KEY_REFUSED}: {}",
            refusal(reply)
        )),
        StatusCode::NOT_FOUND => Error::NotFound(said(cluster, reply)),
        StatusCode::CONFLICT => Error::Conflict(said(cluster, reply)),
        _ => Error::Elsewhere(said(cluster, reply)),
    }
}

fn said(cluster: &str, reply: &Reply) -> String {
    format!("cluster {cluster}: {}", refusal(reply))
}
