//! The description of the API, for people and for generators. Nothing of it is loaded from outside.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::IntoResponse;
use axum::{Router, routing};
use utoipa_swagger_ui::SwaggerUi;

use crate::openapi;

/// It is the same for as long as the process lives, and takes tens of milliseconds to make.
static YAML: LazyLock<String> = LazyLock::new(openapi::openapi_yaml);

pub(crate) fn router() -> Router {
    let page = SwaggerUi::new("/docs").url("/openapi.json", openapi::document());
    Router::from(page).route("/openapi.yaml", routing::get(yaml))
}

async fn yaml() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/yaml")], YAML.as_str())
}
