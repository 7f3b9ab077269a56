//! The description of the API, for people and for generators. Nothing of it is loaded from outside.

use axum::http::header;
use axum::response::IntoResponse;
use axum::{Router, routing};
use utoipa_swagger_ui::SwaggerUi;

use crate::openapi;

pub(crate) fn router() -> Router {
    let page = SwaggerUi::new("/docs").url("/openapi.json", openapi::document());
    Router::from(page).route("/openapi.yaml", routing::get(yaml))
}

async fn yaml() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/yaml")],
        openapi::openapi_yaml(),
    )
}
