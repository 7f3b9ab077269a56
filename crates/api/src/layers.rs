//! What happens to every request, whatever its route.

use std::any::Any;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use stalker_domain::wire::{AGENT_TOKEN_HEADER, API_KEY_HEADER, REGISTER_KEY_HEADER};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::request_id::{
    MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer,
};
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;
use tower_http::trace::{DefaultOnResponse, TraceLayer};
use tracing::{Level, Span, error, info_span};

use crate::error::Error;
use crate::{App, browsers, client, rate};

/// Time for a handler to begin its answer. The body of a list may take longer: it is as slow as its reader.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Puts request ids, traces, limits of time and rate, headers for browsers and a net for panics around all routes.
pub(crate) fn around(routes: Router, app: &App) -> Router {
    let secrets =
        [API_KEY_HEADER, REGISTER_KEY_HEADER, AGENT_TOKEN_HEADER].map(HeaderName::from_static);
    routes.layer(
        ServiceBuilder::new()
            .layer(SetSensitiveRequestHeadersLayer::new(
                secrets
                    .into_iter()
                    .chain([header::AUTHORIZATION, header::COOKIE]),
            ))
            .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
            .layer(
                TraceLayer::new_for_http()
                    .make_span_with(span)
                    .on_response(DefaultOnResponse::new().level(Level::DEBUG))
                    // `error` logs what fails, once and with its cause
                    .on_failure(()),
            )
            .layer(PropagateRequestIdLayer::x_request_id())
            .layer(middleware::from_fn_with_state(
                app.clone(),
                browsers::protect,
            ))
            .layer(browsers::cors(&app.config.cors_origins))
            .layer(CompressionLayer::new())
            .layer(CatchPanicLayer::custom(after_panic))
            .layer(middleware::from_fn_with_state(app.clone(), client::note))
            .layer(middleware::from_fn_with_state(app.clone(), rate::limit))
            .layer(middleware::from_fn(limit_time)),
    )
}

fn span(request: &Request) -> Span {
    let id = request
        .extensions()
        .get::<RequestId>()
        .and_then(|id| id.header_value().to_str().ok())
        .unwrap_or_default();
    // without the query: it may hold what people type
    info_span!("request", method = %request.method(), path = request.uri().path(), id)
}

fn after_panic(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    error!(message, "a handler panicked");
    Error::Internal.into_response()
}

async fn limit_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Error::TooSlow.into_response(),
    }
}
