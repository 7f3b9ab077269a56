//! Users: people who sign in.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgConnection;
use stalker_db::audit::Deed;
use stalker_db::sign_ins;
use stalker_db::users::{self, Change};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Success;
use crate::access::{Admin, Caller, Viewer};
use crate::client::Client;
use crate::error::{Error, Failures, IfMatch, IfNoneMatch, NotModified, Problem, Unknown};
use crate::extract::{Body, Path, Query};
use crate::fields::{self, Fields, one_of, short, text};
use crate::list::{self, Wanted};
use crate::{App, etag, passwords};

const ACCESSES: [&str; 3] = ["viewer", "operator", "admin"];
/// Characters of a name, an address or a theme.
const LONGEST: usize = 100;
/// In a path it is whoever asks.
const ME: &str = "me";

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_users, create_user))
        .routes(routes!(get_user, update_user, delete_user))
}

/// A person who signs in.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct User {
    /// The name to sign in with.
    #[schema(example = "ann")]
    username: String,
    /// Where mail reaches them; may be empty.
    #[schema(example = "ann@example.net")]
    email: String,
    /// How the user interface looks.
    #[schema(example = "default")]
    theme: String,
    /// What they may do: `viewer`, `operator` or `admin`.
    #[schema(value_type = Role)]
    role: String,
}

/// Users, in the order of their names.
#[derive(Serialize, ToSchema)]
struct Users {
    /// All of them.
    users: Vec<User>,
}

/// What somebody may do.
#[derive(ToSchema)]
#[allow(dead_code)] // a description: the body is read by hand, so that all mistakes are named
#[serde(rename_all = "lowercase")]
#[schema(as = UserRole)]
enum Role {
    Viewer,
    Operator,
    Admin,
}

/// A user to be added.
#[derive(ToSchema)]
#[allow(dead_code)] // a description: the body is read by hand, so that all mistakes are named
struct NewUser {
    /// At most 100 characters, without a slash; not `me`.
    #[schema(min_length = 1, max_length = 100, example = "ann")]
    username: String,
    /// 8 to 200 characters.
    #[schema(min_length = 8, max_length = 200, format = Password)]
    password: String,
    /// Where mail reaches them.
    #[schema(max_length = 100)]
    email: Option<String>,
    /// How the user interface looks.
    #[schema(max_length = 100)]
    theme: Option<String>,
    /// `viewer` (the default), `operator` or `admin`.
    role: Option<Role>,
}

/// What is to change of a user; what is absent stays.
#[derive(ToSchema)]
#[allow(dead_code)] // a description, as above
struct UserChange {
    /// Where mail reaches them.
    #[schema(max_length = 100)]
    email: Option<String>,
    /// How the user interface looks.
    #[schema(max_length = 100)]
    theme: Option<String>,
    /// A new one ends all sessions of the user. 8 to 200 characters.
    #[schema(min_length = 8, max_length = 200, format = Password)]
    password: Option<String>,
    /// The password of now: needed by who is signed in and changes their own, for a browser that was left open is not its user.
    #[schema(max_length = 200, format = Password)]
    current_password: Option<String>,
    /// `viewer`, `operator` or `admin`; only an admin changes it.
    role: Option<Role>,
}

/// Which part of the users is wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Part {
    /// At most so many; absent means all.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 4_294_967_295_u64)]
    limit: Option<u32>,
    /// Only those whose names come after this one.
    after: Option<String>,
}

/// All users
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/user",
    tag = "users",
    params(Part),
    security(("api_key" = [])),
    responses((status = 200, description = "The users", body = Users), Failures)
)]
async fn list_users(
    _: Viewer,
    State(app): State<App>,
    Query(Part { limit, after }): Query<Part>,
) -> Result<Response, Error> {
    let wanted = Wanted {
        limit,
        after: after.unwrap_or_default(),
    };
    list::send("users", wanted, list::SMALL, move |after: String, limit| {
        let pool = app.pool.clone();
        async move {
            let page = users::page(&pool, &after, limit).await?;
            Ok(page
                .into_iter()
                .map(|user| (user.username.clone(), User::from(user)))
                .collect())
        }
    })
    .await
}

/// Adds a user
///
/// Needs access admin.
#[utoipa::path(
    post,
    path = "/user",
    tag = "users",
    request_body = NewUser,
    security(("api_key" = [])),
    responses(
        (status = 200, description = "Added", body = Success),
        (status = 409, description = "There is a user of this name", body = Problem, content_type = "application/problem+json"),
        Failures,
    )
)]
async fn create_user(
    Admin(caller): Admin,
    State(app): State<App>,
    Body(body): Body,
) -> Result<Json<Success>, Error> {
    let (user, password) = fields::read(&body, |fields| {
        let user = User {
            username: fields.required("username", username).unwrap_or_default(),
            email: fields.optional("email", maybe).unwrap_or_default(),
            theme: fields
                .optional("theme", maybe)
                .unwrap_or_else(|| "default".to_owned()),
            role: access(fields).unwrap_or_else(|| "viewer".to_owned()),
        };
        (user, fields.required("password", password))
    })?;
    let hash = passwords::hash(&password.unwrap_or_default()).await;
    let mut tx = app.pool.begin().await?;
    if !users::add(
        &mut tx,
        &user.username,
        &user.email,
        &user.theme,
        &user.role,
        &hash,
    )
    .await?
    {
        return Err(Error::Conflict(format!(
            "there is a user {:?}",
            user.username
        )));
    }
    let deed = Deed {
        action: "create_user",
        subject: format!("user {}", user.username),
        before: None,
        after: Some(json!(user)),
    };
    caller.audit(&mut tx, deed).await?;
    tx.commit().await?;
    Ok(Json(Success::YES))
}

/// One user
///
/// `me` is whoever is signed in. The answer's `ETag` is what `If-Match` takes. Needs access viewer.
#[utoipa::path(
    get,
    path = "/user/{username}",
    tag = "users",
    params(("username" = String, Path, description = "Name of the user, or `me`", example = "ann"), IfNoneMatch),
    security(("api_key" = [])),
    responses(
        (status = 200, description = "The user", body = User, headers(("ETag" = String, description = "Its version"))),
        NotModified,
        Unknown,
        Failures,
    )
)]
async fn get_user(
    Viewer(caller): Viewer,
    State(app): State<App>,
    Path(username): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let username = meant(&username, &caller)?;
    let mut conn = app.pool.acquire().await?;
    let user = users::find(&mut conn, username).await?;
    let user = user.ok_or_else(|| unknown(username))?;
    etag::tagged(User::from(user), &headers)
}

/// Changes a user
///
/// Everybody may change themselves, but for the role; everything else needs access admin.
#[utoipa::path(
    post,
    path = "/user/{username}",
    tag = "users",
    params(("username" = String, Path, description = "Name of the user, or `me`", example = "ann"), IfMatch),
    request_body = UserChange,
    security(("api_key" = [])),
    responses(
        (status = 200, description = "It is so", body = Success),
        (status = 409, description = "They are the only admin", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The user was changed since that version was seen", body = Problem, content_type = "application/problem+json"),
        Unknown,
        Failures,
    )
)]
async fn update_user(
    Viewer(caller): Viewer,
    State(app): State<App>,
    client: Client,
    Path(username): Path<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Json<Success>, Error> {
    let username = meant(&username, &caller)?;
    let is_oneself = caller
        .session
        .as_ref()
        .is_some_and(|session| session.username == username);
    if !is_oneself && !caller.is_admin() {
        return Err(Error::Forbidden("only an admin may change others"));
    }
    let (mut change, new_password, current_password) = fields::read(&body, |fields| {
        let change = Change {
            email: fields.optional("email", maybe),
            theme: fields.optional("theme", maybe),
            access: access(fields),
            password_hash: None,
        };
        let new_password = fields.optional("password", password);
        let current_password = fields.optional("current_password", maybe_password);
        (change, new_password, current_password)
    })?;
    if change.access.is_some() && !caller.is_admin() {
        return Err(Error::Forbidden("only an admin may change a role"));
    }
    if new_password.is_some() && is_oneself {
        require_password(&app, client, username, current_password).await?;
    }
    if let Some(password) = &new_password {
        change.password_hash = Some(passwords::hash(password).await);
    }
    let mut tx = app.pool.begin().await?;
    if change.access.is_some() {
        // all of them before one of them, as whoever else takes an admin away does
        users::have_admin(&mut tx).await?;
    }
    let user = users::find(&mut tx, username).await?;
    let user = user.ok_or_else(|| unknown(username))?;
    let (user_id, before) = (user.user_id, User::from(user));
    etag::require_seen(&before, &headers)?;
    users::change(&mut tx, user_id, &change).await?;
    if change.access.is_some() {
        require_admin(&mut tx, &before).await?;
    }
    let after = users::find(&mut tx, username).await?.map(User::from);
    let mut after = json!(after);
    if new_password.is_some() {
        after["password"] = json!("changed");
    }
    let deed = Deed {
        action: "update_user",
        subject: format!("user {username}"),
        before: Some(json!(before)),
        after: Some(after),
    };
    caller.audit(&mut tx, deed).await?;
    tx.commit().await?;
    Ok(Json(Success::YES))
}

/// Deletes a user
///
/// Their sessions end. Needs access admin.
#[utoipa::path(
    delete,
    path = "/user/{username}",
    tag = "users",
    params(("username" = String, Path, description = "Name of the user", example = "ann")),
    security(("api_key" = [])),
    responses(
        (status = 200, description = "Deleted", body = Success),
        (status = 409, description = "They are the only admin", body = Problem, content_type = "application/problem+json"),
        Unknown,
        Failures,
    )
)]
async fn delete_user(
    Admin(caller): Admin,
    State(app): State<App>,
    Path(username): Path<String>,
) -> Result<Json<Success>, Error> {
    let username = meant(&username, &caller)?;
    let mut tx = app.pool.begin().await?;
    users::have_admin(&mut tx).await?;
    let user = users::find(&mut tx, username).await?;
    let user = user.ok_or_else(|| unknown(username))?;
    users::delete(&mut tx, user.user_id).await?;
    let before = User::from(user);
    require_admin(&mut tx, &before).await?;
    let deed = Deed {
        action: "delete_user",
        subject: format!("user {username}"),
        before: Some(json!(before)),
        after: None,
    };
    caller.audit(&mut tx, deed).await?;
    tx.commit().await?;
    Ok(Json(Success::YES))
}

/// Refuses who does not know the password of now; tries are limited as those of signing in are.
async fn require_password(
    app: &App,
    client: Client,
    username: &str,
    password: Option<String>,
) -> Result<(), Error> {
    let wrong = |message: &str| Error::field("current_password", message);
    let password = password.ok_or_else(|| wrong("is missing"))?;
    let network = client.network().to_string();
    if !sign_ins::count(&app.pool, username, &network).await? {
        return Err(Error::TooMany(30));
    }
    let hash = users::password_hash(&app.pool, username).await?;
    let is_it = passwords::verify(&password, hash.map(|(_, hash)| hash)).await;
    if !is_it {
        return Err(wrong("is not your password"));
    }
    let mut conn = app.pool.acquire().await?;
    Ok(sign_ins::give_back(&mut conn, username, &network).await?)
}

/// Refuses what leaves nobody who decides who may do what. `before` is who was changed.
async fn require_admin(conn: &mut PgConnection, before: &User) -> Result<(), Error> {
    match before.role != "admin" || users::have_admin(conn).await? {
        true => Ok(()),
        false => Err(Error::Conflict(format!(
            "{:?} is the only admin: make another one first",
            before.username
        ))),
    }
}

/// The name that a path means.
fn meant<'a>(username: &'a str, caller: &'a Caller) -> Result<&'a str, Error> {
    if username != ME {
        return Ok(username);
    }
    let session = caller.session.as_ref();
    session
        .map(|session| session.username.as_str())
        .ok_or_else(|| Error::NotFound("a key is no user: nobody is signed in".to_owned()))
}

fn unknown(username: &str) -> Error {
    Error::NotFound(format!("there is no user {username:?}"))
}

fn username(value: &Value) -> Result<String, String> {
    let name = short(value, LONGEST)?;
    if name == ME || name.chars().any(|c| c.is_control() || c == '/') {
        return Err("must not be `me`, nor hold a control character or a slash".to_owned());
    }
    Ok(name)
}

fn password(value: &Value) -> Result<String, String> {
    let password = text(value)?;
    match passwords::refused(&password) {
        Some(why) => Err(why),
        None => Ok(password),
    }
}

/// What may be a password.
fn maybe_password(value: &Value) -> Result<String, String> {
    let password = text(value)?;
    match password.chars().count() {
        n if n > passwords::LONGEST => Err(format!(
            "must have at most {} characters",
            passwords::LONGEST
        )),
        _ => Ok(password),
    }
}

/// Short text, or none.
fn maybe(value: &Value) -> Result<String, String> {
    match value.as_str() {
        Some(blank) if blank.trim().is_empty() => Ok(String::new()),
        _ => short(value, LONGEST),
    }
}

fn access(fields: &mut Fields) -> Option<String> {
    fields.optional("role", |value| one_of(value, &ACCESSES))
}

impl From<users::User> for User {
    fn from(user: users::User) -> Self {
        Self {
            username: user.username,
            email: user.email,
            theme: user.theme,
            role: user.access,
        }
    }
}
