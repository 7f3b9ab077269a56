//! Where somebody is signed in, and the end of that.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::json;
use stalker_db::audit::Deed;
use stalker_db::sessions;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Success;
use crate::App;
use crate::access::{Caller, Viewer};
use crate::error::{Error, Failures, Unknown};
use crate::extract::Path;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_sessions))
        .routes(routes!(end_session))
}

/// A browser in which somebody is signed in.
#[derive(Serialize, ToSchema)]
struct Session {
    /// Opaque.
    #[schema(example = "12")]
    id: String,
    /// The address that it was begun from.
    #[schema(example = "10.0.0.1")]
    address: String,
    /// What the browser called itself.
    #[schema(example = "Mozilla/5.0")]
    agent: String,
    /// When it was begun, unix seconds.
    #[schema(example = 1_364_186_204)]
    created: i64,
    /// When it was last used, unix seconds, to the minute.
    #[schema(example = 1_364_186_204)]
    seen: i64,
    /// It is the one that asks.
    #[schema(example = true)]
    current: bool,
}

/// Sessions, the latest first.
#[derive(Serialize, ToSchema)]
struct Sessions {
    /// Those that live; none for a key, which is no user.
    sessions: Vec<Session>,
}

/// One's own sessions
///
/// A session ends when it was not used for 12 hours, after 7 days, and with a change of the password. Needs access viewer.
#[utoipa::path(
    get,
    path = "/sessions",
    tag = "users",
    security(("api_key" = [])),
    responses((status = 200, description = "The sessions of whoever is signed in", body = Sessions), Failures)
)]
async fn list_sessions(
    Viewer(caller): Viewer,
    State(app): State<App>,
) -> Result<Json<Sessions>, Error> {
    let Some(own) = &caller.session else {
        return Ok(Json(Sessions {
            sessions: Vec::new(),
        }));
    };
    let listed = sessions::list(&app.pool, own.user_id).await?;
    let sessions = listed.into_iter().map(|session| Session {
        current: session.session_id == own.session_id,
        id: session.session_id.to_string(),
        address: session.address,
        agent: session.agent,
        created: session.created_at.timestamp(),
        seen: session.seen_at.timestamp(),
    });
    Ok(Json(Sessions {
        sessions: sessions.collect(),
    }))
}

/// Ends one of one's own sessions
///
/// Needs access viewer.
#[utoipa::path(
    delete,
    path = "/sessions/{id}",
    tag = "users",
    params(("id" = String, Path, description = "Id of the session", example = "12")),
    security(("api_key" = [])),
    responses((status = 200, description = "It has ended", body = Success), Unknown, Failures)
)]
async fn end_session(
    Viewer(caller): Viewer,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Success>, Error> {
    let number = id.parse().ok();
    let user_id = caller.session.as_ref().map(|session| session.user_id);
    let (Some(user_id), Some(session_id)) = (user_id, number) else {
        return Err(unknown(&id));
    };
    match end(&app, &caller, "end_session", user_id, session_id).await? {
        true => Ok(Json(Success::YES)),
        false => Err(unknown(&id)),
    }
}

/// Ends it, and writes that down. False if there is no such session.
pub(super) async fn end(
    app: &App,
    caller: &Caller,
    action: &str,
    user_id: i64,
    session_id: i64,
) -> Result<bool, Error> {
    let mut tx = app.pool.begin().await?;
    if !sessions::end(&mut tx, user_id, session_id).await? {
        return Ok(false);
    }
    let deed = Deed {
        action,
        subject: format!("session {session_id}"),
        before: Some(json!({ "user": caller.actor.name })),
        after: None,
    };
    caller.audit(&mut tx, deed).await?;
    tx.commit().await?;
    Ok(true)
}

fn unknown(id: &str) -> Error {
    Error::NotFound(format!("you have no session with the id {id:?}"))
}
