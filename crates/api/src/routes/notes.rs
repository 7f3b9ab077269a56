//! Notes: what people write down about a host.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json;
use stalker_db::audit::Deed;
use stalker_db::notes;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Success, hosts};
use crate::App;
use crate::access::{ScopedOperator, ScopedViewer};
use crate::error::{Error, Failures, Unknown};
use crate::extract::{Body, Path, Query, few};
use crate::fields::{self, short};

/// Characters of a name.
const LONGEST_NAME: usize = 100;
/// Characters of a note.
const LONGEST_NOTE: usize = 10_000;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_notes, create_note))
}

/// A note about a host.
#[derive(Serialize, ToSchema)]
struct Note {
    /// The host's name.
    #[schema(example = "web1")]
    hostname: String,
    /// Who wrote it.
    #[schema(example = "ann")]
    user: String,
    /// The text.
    #[schema(example = "disk ordered")]
    note: String,
    /// When, unix seconds.
    #[schema(example = 1_364_186_204)]
    ts: i64,
    /// The names of the checks that were failing then.
    #[schema(example = json!(["check_disk"]))]
    alerting: Vec<String>,
}

/// The newest notes about a host.
#[derive(Serialize, ToSchema)]
struct Notes {
    /// Oldest first.
    notes: Vec<Note>,
}

/// How many are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Length {
    /// At most so many of the newest; more than 1000 are never given.
    #[param(minimum = 0, default = 50)]
    #[serde(default, deserialize_with = "few")]
    limit: Option<u32>,
}

/// A note to be added.
#[derive(ToSchema)]
#[allow(dead_code)] // a description: the body is read by hand, so that all mistakes are named
struct NewNote {
    /// Who writes it; of whoever is signed in it is their own name, whatever stands here.
    #[schema(max_length = 100, example = "ann")]
    user: Option<String>,
    /// The text, at most 10,000 characters.
    #[schema(min_length = 1, max_length = 10_000, example = "disk ordered")]
    note: String,
}

/// Notes about a host
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/notes/{host}",
    tag = "hosts",
    params(("host" = String, Path, description = "Name or address of the host", example = "web1"), Length),
    security(("api_key" = [])),
    responses((status = 200, description = "Notes, oldest first", body = Notes), Unknown, Failures)
)]
async fn list_notes(
    ScopedViewer(caller): ScopedViewer,
    State(app): State<App>,
    Path(host): Path<String>,
    Query(Length { limit }): Query<Length>,
) -> Result<Json<Notes>, Error> {
    let host_id = hosts::find_id(&app, &host, &caller).await?;
    let hostname = hosts::name(&app, host_id, &host).await?;
    let limit = i64::from(limit.unwrap_or(50));
    let notes = notes::last(&app.pool, &hostname, limit).await?;
    Ok(Json(Notes {
        notes: notes.into_iter().map(Note::from).collect(),
    }))
}

/// Adds a note about a host
///
/// Needs access operator.
#[utoipa::path(
    post,
    path = "/notes/{host}",
    tag = "hosts",
    params(("host" = String, Path, description = "Name or address of the host", example = "web1")),
    request_body = NewNote,
    security(("api_key" = [])),
    responses((status = 200, description = "Added", body = Success), Unknown, Failures)
)]
async fn create_note(
    ScopedOperator(caller): ScopedOperator,
    State(app): State<App>,
    Path(host): Path<String>,
    Body(body): Body,
) -> Result<Json<Success>, Error> {
    let (named, text) = fields::read(&body, |fields| {
        let named = fields.optional("user", |value| short(value, LONGEST_NAME));
        let text = fields.required("note", |value| short(value, LONGEST_NOTE));
        (named, text.unwrap_or_default())
    })?;
    let author = match &caller.session {
        Some(session) => session.username.clone(),
        None => named.unwrap_or_else(|| caller.actor.name.clone()),
    };
    let host_id = hosts::find_id(&app, &host, &caller).await?;
    let mut tx = app.pool.begin().await?;
    let note = notes::add(&mut tx, host_id, &author, &text).await?;
    let deed = Deed {
        action: "create_note",
        subject: format!("host {}", note.hostname),
        before: None,
        after: Some(json!({ "user": note.author, "note": note.note })),
    };
    caller.audit(&mut tx, deed).await?;
    tx.commit().await?;
    Ok(Json(Success::YES))
}

impl From<notes::Note> for Note {
    fn from(note: notes::Note) -> Self {
        Self {
            hostname: note.hostname,
            user: note.author,
            note: note.note,
            ts: note.at.timestamp(),
            alerting: note.alerting,
        }
    }
}
