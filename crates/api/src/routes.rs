//! All routes. Each resource's file has its handlers and bodies; a new one is one line in `documented`.

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, Uri, header};
use axum::response::Redirect;
use axum::{Router, routing};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use tower::Layer;
use tower_http::normalize_path::NormalizePathLayer;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use crate::access::Viewer;
use crate::error::Error;
use crate::openapi::Base;
use crate::{App, layers};

mod alerts;
mod audit;
mod channels;
mod checks;
mod clusters;
mod docs;
mod find_host;
mod health;
mod hosts;
mod keys;
mod maintenances;
mod metrics;
mod notes;
mod notifications;
mod overrides;
mod owners;
mod pins;
mod register;
mod replicas;
mod routes_list;
mod samples;
mod sessions;
mod sign_in;
mod state_changes;
mod stats;
mod users;

/// A path within a query.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/');
/// Bytes of a request's body.
const BODY_LIMIT: usize = 1024 * 1024;

/// The routes that are part of the API, with their description.
pub(crate) fn documented() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Base::openapi())
        .merge(register::routes())
        .merge(hosts::routes())
        .merge(pins::routes())
        .merge(find_host::routes())
        .merge(notes::routes())
        .merge(checks::routes())
        .merge(overrides::routes())
        .merge(owners::routes())
        .merge(samples::routes())
        .merge(state_changes::routes())
        .merge(alerts::routes())
        .merge(maintenances::routes())
        .merge(notifications::routes())
        .merge(channels::routes())
        .merge(users::routes())
        .merge(sessions::routes())
        .merge(sign_in::routes())
        .merge(keys::routes())
        .merge(audit::routes())
        .merge(stats::routes())
        .merge(clusters::routes())
        .merge(replicas::routes())
        .merge(metrics::routes())
        .merge(routes_list::routes())
        .merge(health::routes())
}

/// Everything that is served.
pub(crate) fn router(app: App) -> Router {
    let (api, _) = documented().split_for_parts();
    let api = api
        .route("/", routing::get(page))
        .route("/view/{*page}", routing::get(page))
        .route("/global/view/{*page}", routing::get(page))
        .fallback(async || Error::NotFound("there is no such route; see /docs".to_owned()))
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(app.clone());
    // The pages of /docs know their own slashes; everywhere else one at the end is optional.
    let api = NormalizePathLayer::trim_trailing_slash().layer(api);
    layers::around(docs::router().fallback_service(api), &app)
}

/// Until there are pages, the description of the API. A browser in which nobody is signed in is sent to do so; a program is told.
async fn page(
    viewer: Result<Viewer, Error>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Redirect, Error> {
    let accepted = headers.get(header::ACCEPT);
    let is_browser = accepted.is_some_and(|types| types.as_bytes().starts_with(b"text/html"));
    match viewer {
        Ok(_) => Ok(Redirect::to("/docs/")),
        Err(Error::NoKey) if is_browser => {
            let next = utf8_percent_encode(uri.path(), PATH);
            Ok(Redirect::to(&format!("/signin?next={next}")))
        }
        Err(error) => Err(error),
    }
}

/// What is answered when something was done.
#[derive(Serialize, ToSchema)]
pub(crate) struct Success {
    /// Always true.
    #[schema(example = true)]
    success: bool,
}

impl Success {
    const YES: Self = Self { success: true };
}
