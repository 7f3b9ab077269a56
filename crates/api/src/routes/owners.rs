//! Who takes care of a check.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use stalker_db::checks;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Success;
use super::checks::{OneCheck, change, find, require};
use crate::App;
use crate::access::{Caller, ScopedOperator, ScopedViewer};
use crate::error::{Error, Failures, Unknown};
use crate::extract::{Body, Path};
use crate::fields::kind;

/// Characters of a name.
const LONGEST: usize = 100;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_owner, set_owner, delete_owner))
}

/// Who takes care of a check
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/checks/id/{id}/owner",
    tag = "checks",
    params(("id" = String, Path, description = "Id of the check", example = "17")),
    security(("api_key" = [])),
    responses((status = 200, description = "The check; `owner` tells", body = OneCheck), Unknown, Failures)
)]
async fn get_owner(
    ScopedViewer(caller): ScopedViewer,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<OneCheck>, Error> {
    find(&app, &id, &caller).await
}

/// Who is to take care of a check.
#[derive(ToSchema)]
#[allow(dead_code)] // a description: the body is read by hand, so that a mistake is named
pub(super) struct Owner {
    /// A person's name, at most 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    owner: String,
}

/// Takes ownership of a check
///
/// Its alert is not told again while somebody owns it, and channels that can show it are told who. It ends when the check
/// is well again. Needs access operator.
#[utoipa::path(
    post,
    path = "/checks/id/{id}/owner",
    tag = "checks",
    params(("id" = String, Path, description = "Id of the check", example = "17")),
    request_body = Owner,
    security(("api_key" = [])),
    responses((status = 200, description = "It is so", body = Success), Unknown, Failures)
)]
pub(super) async fn set_owner(
    ScopedOperator(caller): ScopedOperator,
    State(app): State<App>,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Json<Success>, Error> {
    let owner = name(&body["owner"])?;
    put(&app, &caller, &id, "set_owner", owner).await
}

/// Gives up the ownership of a check
///
/// Needs access operator.
#[utoipa::path(
    delete,
    path = "/checks/id/{id}/owner",
    tag = "checks",
    params(("id" = String, Path, description = "Id of the check", example = "17")),
    security(("api_key" = [])),
    responses((status = 200, description = "Nobody owns it", body = Success), Unknown, Failures)
)]
pub(super) async fn delete_owner(
    ScopedOperator(caller): ScopedOperator,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Success>, Error> {
    put(&app, &caller, &id, "delete_owner", "").await
}

async fn put(
    app: &App,
    caller: &Caller,
    id: &str,
    action: &str,
    owner: &str,
) -> Result<Json<Success>, Error> {
    let check = require(app, id, caller).await?;
    let after = json!({ "owner": owner });
    change(app, caller, &check, action, Some(after), async |conn| {
        let before = checks::set_owner(conn, check.check_id, owner).await?;
        Ok(before.map(|owner| json!({ "owner": owner })))
    })
    .await
}

/// The name that a body has.
pub(super) fn name(owner: &Value) -> Result<&str, Error> {
    let wrong = |message: String| Error::field("owner", message);
    let owner = owner
        .as_str()
        .ok_or_else(|| wrong(format!("must be a name, not {}", kind(owner))))?
        .trim();
    match owner.chars().count() {
        0 => Err(wrong("must not be empty; DELETE gives it up".to_owned())),
        1..=LONGEST => Ok(owner),
        n => Err(wrong(format!("has {n} characters; {LONGEST} are the most"))),
    }
}
