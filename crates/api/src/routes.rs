//! All routes. Each resource's file has its handlers and bodies; a new one is one line in `documented`.

use axum::extract::DefaultBodyLimit;
use axum::response::Redirect;
use axum::{Router, routing};
use serde::Serialize;
use tower::Layer;
use tower_http::normalize_path::NormalizePathLayer;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use crate::error::Error;
use crate::openapi::Base;
use crate::{App, layers};

mod channels;
mod checks;
mod docs;
mod health;
mod hosts;
mod metrics;
mod notifications;
mod owners;
mod register;
mod routes_list;
mod state_changes;
mod stats;

/// Bytes of a request's body.
const BODY_LIMIT: usize = 1024 * 1024;

/// The routes that are part of the API, with their description.
pub(crate) fn documented() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Base::openapi())
        .merge(register::routes())
        .merge(hosts::routes())
        .merge(checks::routes())
        .merge(owners::routes())
        .merge(state_changes::routes())
        .merge(notifications::routes())
        .merge(channels::routes())
        .merge(stats::routes())
        .merge(metrics::routes())
        .merge(routes_list::routes())
        .merge(health::routes())
}

/// Everything that is served.
pub(crate) fn router(app: App) -> Router {
    let (api, _) = documented().split_for_parts();
    let api = api
        .route("/", routing::get(async || Redirect::to("/docs/")))
        .fallback(async || Error::NotFound("there is no such route; see /docs".to_owned()))
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(app);
    // The pages of /docs know their own slashes; everywhere else one at the end is optional.
    let api = NormalizePathLayer::trim_trailing_slash().layer(api);
    layers::around(docs::router().fallback_service(api))
}

/// What is answered when something was done.
#[derive(Serialize, ToSchema)]
pub(crate) struct Success {
    /// Always true.
    success: bool,
}

impl Success {
    const YES: Self = Self { success: true };
}
