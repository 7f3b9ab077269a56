//! Keys: of programs that call the API, and of agents that register.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use stalker_db::api_keys::{self, CONFIGURED};
use stalker_db::audit::Deed;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Success;
use crate::access::Admin;
use crate::error::{Error, Failures, Problem, Unknown};
use crate::extract::{Body, Path, Query};
use crate::fields::{self, one_of, short, shorts, unix};
use crate::list::{self, Part};
use crate::{App, secret};

const ACCESSES: [&str; 4] = ["viewer", "operator", "admin", "register"];
/// Characters of a name or a role.
const LONGEST: usize = 100;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_keys, create_key))
        .routes(routes!(revoke_key))
}

/// A key: what is known of it, not the key itself.
#[derive(Serialize, ToSchema)]
struct Key {
    /// Opaque.
    #[schema(example = "7")]
    id: String,
    /// What it is for.
    #[schema(example = "grafana")]
    name: String,
    /// `viewer`, `operator`, `admin`, or `register`, with which agents register and nothing else can be done.
    #[schema(value_type = Opens)]
    access: String,
    /// It sees and steers only hosts with one of these roles; null for all.
    #[schema(required, example = json!(["web"]))]
    scope: Option<Vec<String>>,
    /// Who made it; empty for that of the configuration.
    #[schema(example = "ann")]
    made_by: String,
    /// When it was made, unix seconds.
    #[schema(example = 1_364_186_204)]
    created: i64,
    /// When it ends, or has ended, unix seconds; null for never.
    #[schema(required, example = json!(null))]
    expires: Option<i64>,
    /// When it was last used, unix seconds, to the minute; null for never.
    #[schema(required, example = 1_364_186_160)]
    last_used: Option<i64>,
    /// When it was revoked, unix seconds; null while it was not.
    #[schema(required, example = json!(null))]
    revoked: Option<i64>,
}

/// Keys, in the order in which they were made.
#[derive(Serialize, ToSchema)]
struct Keys {
    /// Also those that were revoked or have expired.
    keys: Vec<Key>,
}

/// What a key can open.
#[derive(ToSchema)]
#[allow(dead_code)] // a description: the body is read by hand, so that all mistakes are named
#[serde(rename_all = "lowercase")]
#[schema(as = KeyAccess)]
enum Opens {
    Viewer,
    Operator,
    Admin,
    Register,
}

/// A key to be made.
#[derive(ToSchema)]
#[allow(dead_code)] // a description: the body is read by hand, so that all mistakes are named
struct NewKey {
    /// What it is for, at most 100 characters; not `configuration`.
    #[schema(min_length = 1, max_length = 100, example = "grafana")]
    name: String,
    /// `viewer`, `operator`, `admin` or `register`.
    access: Opens,
    /// Roles; only for `viewer` and `operator`. Absent: all hosts.
    #[schema(min_items = 1)]
    scope: Option<Vec<String>>,
    /// When it ends, unix seconds. Absent: never.
    #[schema(minimum = 0, exclusive_maximum = 253_402_300_800_u64)]
    expires: Option<f64>,
}

/// A new key.
#[derive(Serialize, ToSchema)]
struct Made {
    /// Opaque.
    #[schema(example = "7")]
    id: String,
    /// The key itself. It is shown here and never again.
    #[schema(example = "stk_…")]
    key: String,
}

/// All keys
///
/// Needs access admin.
#[utoipa::path(
    get,
    path = "/keys",
    tag = "keys",
    params(Part),
    security(("api_key" = [])),
    responses((status = 200, description = "The keys, without what is secret of them", body = Keys), Failures)
)]
async fn list_keys(
    _: Admin,
    State(app): State<App>,
    Query(part): Query<Part>,
) -> Result<Response, Error> {
    list::send("keys", part, list::SMALL, move |after, limit| {
        let pool = app.pool.clone();
        async move {
            let page = api_keys::page(&pool, after, limit).await?;
            Ok(page
                .into_iter()
                .map(|key| (key.key_id, Key::from(key)))
                .collect())
        }
    })
    .await
}

/// Makes a key
///
/// It is shown in the answer, and never again. Needs access admin.
#[utoipa::path(
    post,
    path = "/keys",
    tag = "keys",
    request_body = NewKey,
    security(("api_key" = [])),
    responses((status = 200, description = "The key", body = Made), Failures)
)]
async fn create_key(
    Admin(caller): Admin,
    State(app): State<App>,
    Body(body): Body,
) -> Result<Json<Made>, Error> {
    let wanted = wanted(&body)?;
    let key = secret::key();
    let mut tx = app.pool.begin().await?;
    let new = api_keys::New {
        key: &key,
        name: &wanted.name,
        access: &wanted.access,
        scope: wanted.scope.as_deref(),
        expires_at: wanted.expires_at,
        made_by: &caller.actor.name,
    };
    let key_id = api_keys::add(&mut tx, &new).await?;
    if !api_keys::is_valid(&mut tx, key_id).await? {
        return Err(Error::field("expires", "is past"));
    }
    let deed = Deed {
        action: "create_key",
        subject: format!("key {key_id}"),
        before: None,
        after: Some(json!({
            "name": wanted.name, "access": wanted.access, "scope": wanted.scope,
            "expires": wanted.expires_at.map(|at| at.timestamp()),
        })),
    };
    caller.audit(&mut tx, deed).await?;
    tx.commit().await?;
    Ok(Json(Made {
        id: key_id.to_string(),
        key,
    }))
}

/// Revokes a key
///
/// For good. That of the configuration is revoked there. Needs access admin.
#[utoipa::path(
    delete,
    path = "/keys/{id}",
    tag = "keys",
    params(("id" = String, Path, description = "Id of the key", example = "7")),
    security(("api_key" = [])),
    responses(
        (status = 200, description = "It opens nothing any more", body = Success),
        (status = 409, description = "It is that of the configuration", body = Problem, content_type = "application/problem+json"),
        Unknown,
        Failures,
    )
)]
async fn revoke_key(
    Admin(caller): Admin,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Success>, Error> {
    let unknown = || Error::NotFound(format!("no key has the id {id:?}"));
    let key_id: i64 = id.parse().map_err(|_| unknown())?;
    let mut tx = app.pool.begin().await?;
    let key = api_keys::find_listed(&mut tx, key_id).await?;
    let key = key.ok_or_else(unknown)?;
    let is_configured = key.name == CONFIGURED && key.made_by.is_empty();
    if is_configured && app.config.api_key.is_some() {
        return Err(Error::Conflict(
            "this key stands in the configuration (api.api_key): change it there".to_owned(),
        ));
    }
    if key.revoked_at.is_some() {
        return Ok(Json(Success::YES));
    }
    api_keys::revoke(&mut tx, key_id).await?;
    let before = Key::from(key);
    let deed = Deed {
        action: "revoke_key",
        subject: format!("key {key_id}"),
        before: Some(json!(before)),
        after: None,
    };
    caller.audit(&mut tx, deed).await?;
    tx.commit().await?;
    Ok(Json(Success::YES))
}

struct Wanted {
    name: String,
    access: String,
    scope: Option<Vec<String>>,
    expires_at: Option<DateTime<Utc>>,
}

fn wanted(body: &Value) -> Result<Wanted, Error> {
    let wanted = fields::read(body, |fields| Wanted {
        name: fields.required("name", name).unwrap_or_default(),
        access: fields
            .required("access", |value| one_of(value, &ACCESSES))
            .unwrap_or_default(),
        scope: fields.optional("scope", roles),
        expires_at: fields.optional("expires", unix),
    })?;
    if wanted.scope.is_some() && !["viewer", "operator"].contains(&wanted.access.as_str()) {
        return Err(Error::field(
            "scope",
            "is only for keys with access viewer or operator",
        ));
    }
    Ok(wanted)
}

fn name(value: &Value) -> Result<String, String> {
    match short(value, LONGEST)? {
        name if name == CONFIGURED => Err("is the name of the configuration's own".to_owned()),
        name => Ok(name),
    }
}

fn roles(value: &Value) -> Result<Vec<String>, String> {
    match shorts(value, LONGEST)? {
        roles if roles.is_empty() => {
            Err("must name a role; without it all hosts are meant".to_owned())
        }
        roles => Ok(roles),
    }
}

impl From<api_keys::Listed> for Key {
    fn from(key: api_keys::Listed) -> Self {
        Self {
            id: key.key_id.to_string(),
            name: key.name,
            access: key.access,
            scope: key.scope,
            made_by: key.made_by,
            created: key.created_at.timestamp(),
            expires: key.expires_at.map(|at| at.timestamp()),
            last_used: key.last_used_at.map(|at| at.timestamp()),
            revoked: key.revoked_at.map(|at| at.timestamp()),
        }
    }
}
