//! The routes themselves, as the original lists them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::Json;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::ScopedViewer;
use crate::error::Failures;
use crate::{App, openapi};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_routes))
}

/// Every route with what it does
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/routes/list",
    tag = "cluster",
    security(("api_key" = [])),
    responses((status = 200, description = "Descriptions by route", body = BTreeMap<String, String>), Failures)
)]
async fn list_routes(_: ScopedViewer) -> Json<&'static BTreeMap<String, String>> {
    Json(&ROUTES)
}

/// They are the same for as long as the process lives.
static ROUTES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let routes = openapi::document().paths.paths.into_iter();
    routes.map(|(path, item)| (path, describe(&item))).collect()
});

fn describe(item: &PathItem) -> String {
    let operations = [
        ("GET", &item.get),
        ("POST", &item.post),
        ("PUT", &item.put),
        ("DELETE", &item.delete),
    ];
    let lines = operations.into_iter().filter_map(|(method, operation)| {
        Some(format!("{method}: {}", summary(operation.as_ref()?)))
    });
    lines.collect::<Vec<_>>().join("; ")
}

fn summary(operation: &Operation) -> &str {
    operation.summary.as_deref().unwrap_or_default()
}
