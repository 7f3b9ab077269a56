//! What browsers are told of every answer: what a page of ours may do, and who may read what.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use stalker_domain::wire::API_KEY_HEADER;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::App;

/// An answer of the API is no page: nothing in it is to be run or shown in a frame.
const OF_DATA: &str = "default-src 'none'; frame-ancestors 'none'";
/// The page to sign in on has a style and a form, and no script.
const OF_SIGN_IN: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// The pages of /docs bring scripts and styles of their own, and call the API.
const OF_DOCS: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const ALWAYS: [(header::HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (
        header::HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// Adds the headers that protect whoever uses a browser.
pub(crate) async fn protect(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let policy = match path.trim_end_matches('/') {
        "/signin" | "/signout" => OF_SIGN_IN,
        docs if docs.starts_with("/docs") => OF_DOCS,
        _ => OF_DATA,
    };
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(policy),
    );
    if app.config.is_secure() {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
    if policy != OF_DOCS {
        // what was seen by one may not be for the next; with a version it is asked for again
        let is_versioned = headers.contains_key(header::ETAG);
        let caching = if is_versioned {
            "no-cache, private"
        } else {
            "no-store"
        };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    }
    response
}

/// Pages of other sites may call the API with a key of theirs, if the configuration names them; never with our cookie.
pub(crate) fn cors(origins: &[String]) -> CorsLayer {
    let allowed = match origins {
        [] => return CorsLayer::new(),
        [all] if all == "*" => AllowOrigin::any(),
        origins => AllowOrigin::list(origins.iter().filter_map(|origin| origin.parse().ok())),
    };
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([
            header::HeaderName::from_static(API_KEY_HEADER),
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
        ])
        .expose_headers([header::ETAG, header::RETRY_AFTER])
}
