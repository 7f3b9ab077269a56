//! Signing in and out: a plain page, which needs no script.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use minijinja::{Environment, context};
use serde::Deserialize;
use serde_json::json;
use stalker_db::audit::{self, Deed, Kind};
use stalker_db::{sessions, sign_ins, users};
use tracing::warn;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Viewer;
use crate::client::Client;
use crate::error::{Error, Problem};
use crate::extract::{Form, Query};
use crate::{App, cookie, origin, passwords, secret};

const PAGE: &str = include_str!("sign_in.html");
/// Characters of what a browser calls itself that are kept.
const LONGEST_AGENT: usize = 200;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_sign_in, sign_in))
        .routes(routes!(get_sign_out, sign_out))
}

/// Where to go on.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Next {
    /// A path of this server; without it, `/`.
    #[serde(default)]
    #[param(required = false, example = "/")]
    next: Option<String>,
}

/// What the form sends.
#[derive(Deserialize, ToSchema)]
struct Credentials {
    /// The user's name.
    #[schema(example = "ann")]
    username: String,
    /// Their password.
    #[schema(format = Password)]
    password: String,
    /// Anything: the browser keeps its cookie when it is closed, for a week.
    #[serde(default)]
    remember_me: Option<String>,
    /// A path of this server to go on to; without it, `/`.
    #[serde(default)]
    next: Option<String>,
}

/// The page to sign in on
///
/// A plain form, which needs no script. Whoever is sent here because nobody is signed in goes on to `next`.
#[utoipa::path(
    get,
    path = "/signin",
    tag = "users",
    params(Next),
    security(()),
    responses(
        (status = 200, description = "A form", body = String, content_type = "text/html"),
        (status = 400, description = "The query is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests from your address", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_sign_in(Query(Next { next }): Query<Next>) -> Result<Response, Error> {
    page(StatusCode::OK, &local(next.as_deref()), "")
}

/// Signs in
///
/// Begins a session, whose cookie the answer sets, and goes on to `next`. Ten tries of an account or from an address are
/// allowed at once, and one more in half a minute.
#[utoipa::path(
    post,
    path = "/signin",
    tag = "users",
    request_body(content = Credentials, content_type = "application/x-www-form-urlencoded"),
    security(()),
    responses(
        (status = 303, description = "Signed in", headers(
            ("Location" = String, description = "`next`"),
            ("Set-Cookie" = String, description = "The session"),
        )),
        (status = 400, description = "The form is incomplete", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Wrong user or password: the form again", body = String, content_type = "text/html"),
        (status = 403, description = "The form is not of a page of ours", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The form is larger than 1 MiB", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many tries: the form again", body = String, content_type = "text/html"),
        (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn sign_in(
    State(app): State<App>,
    client: Client,
    headers: HeaderMap,
    Form(credentials): Form<Credentials>,
) -> Result<Response, Error> {
    origin::require_same(&headers, app.config.public_url.as_deref())?;
    let next = local(credentials.next.as_deref());
    let username = credentials.username.trim();
    let address = client.address.to_string();
    let network = client.network().to_string();
    if !sign_ins::count(&app.pool, username, &network).await? {
        // whose account is not told: perhaps a password was typed there
        warn!(address, "too many tries to sign in");
        let mut response = page(
            StatusCode::TOO_MANY_REQUESTS,
            &next,
            "Too many tries. Please wait half a minute.",
        )?;
        let wait = HeaderValue::from_static("30");
        response.headers_mut().insert(header::RETRY_AFTER, wait);
        return Ok(response);
    }
    let wrong = || {
        warn!(address, "somebody did not know a password");
        page(StatusCode::UNAUTHORIZED, &next, "Wrong user or password.")
    };
    let is_too_long = credentials.password.chars().count() > passwords::LONGEST;
    let known = users::password_hash(&app.pool, username).await?;
    let hash = known.as_ref().map(|(_, hash)| hash.clone());
    if is_too_long || !passwords::verify(&credentials.password, hash).await {
        return wrong();
    }
    let Some((user_id, hash)) = known else {
        return wrong();
    };
    let secret = secret::random();
    let agent = headers
        .get(header::USER_AGENT)
        .map(|agent| String::from_utf8_lossy(agent.as_bytes()).replace('\0', ""))
        .unwrap_or_default();
    let agent: String = agent.chars().take(LONGEST_AGENT).collect();
    let mut tx = app.pool.begin().await?;
    if !sessions::begin(&mut tx, user_id, &hash, &secret, &address, &network, &agent).await? {
        return wrong();
    }
    sign_ins::give_back(&mut tx, username, &network).await?;
    let deed = Deed {
        action: "sign_in",
        subject: format!("user {username}"),
        before: None,
        after: Some(json!({ "agent": agent })),
    };
    let actor = client.actor(Kind::User, Some(user_id), username.to_owned());
    audit::write(&mut tx, &actor, deed).await?;
    tx.commit().await?;
    let cookie = cookie::set(
        &secret,
        credentials.remember_me.is_some(),
        app.config.is_secure(),
    );
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&next)).into_response())
}

/// Signs out
///
/// As a link does, which the original's page had: it asks, and the answer is a POST.
#[utoipa::path(
    get,
    path = "/signout",
    tag = "users",
    security(()),
    responses(
        (status = 200, description = "A form", body = String, content_type = "text/html"),
        (status = 429, description = "Too many requests from your address", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_sign_out() -> Result<Response, Error> {
    render(StatusCode::OK, context! { is_sign_out => true })
}

/// Signs out
///
/// Ends the session, if there is one that lives.
#[utoipa::path(
    post,
    path = "/signout",
    tag = "users",
    security(("session" = [])),
    responses(
        (status = 303, description = "Signed out", headers(
            ("Location" = String, description = "The page to sign in on"),
            ("Set-Cookie" = String, description = "None any more"),
        )),
        (status = 403, description = "The form is not of a page of ours, or this is a key", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests from your address", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn sign_out(
    viewer: Result<Viewer, Error>,
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let cookie = cookie::clear(app.config.is_secure());
    let out = ([(header::SET_COOKIE, cookie)], Redirect::to("/signin")).into_response();
    let Viewer(caller) = match viewer {
        Ok(viewer) => viewer,
        // it has ended by itself: that is what was wanted
        Err(Error::NoKey) => {
            origin::require_same(&headers, app.config.public_url.as_deref())?;
            return Ok(out);
        }
        Err(error) => return Err(error),
    };
    let Some(session) = &caller.session else {
        return Err(Error::Forbidden("a key cannot sign out; revoke it instead"));
    };
    super::sessions::end(
        &app,
        &caller,
        "sign_out",
        session.user_id,
        session.session_id,
    )
    .await?;
    Ok(out)
}

/// A path of this server, whatever somebody put into a link: another server's would be the best of traps.
fn local(next: Option<&str>) -> String {
    let is_local = |next: &str| {
        next.starts_with('/')
            && !next.starts_with("//")
            && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
    };
    next.filter(|next| is_local(next)).unwrap_or("/").to_owned()
}

fn page(status: StatusCode, next: &str, message: &str) -> Result<Response, Error> {
    render(status, context! { next, message })
}

fn render(status: StatusCode, values: minijinja::Value) -> Result<Response, Error> {
    let mut environment = Environment::new();
    // what stands in it came from outside
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::Html);
    let text = environment.render_str(PAGE, values).map_err(|error| {
        tracing::error!(%error, "the page to sign in on cannot be made");
        Error::Internal
    })?;
    Ok((status, Html(text)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_paths_are_gone_on_to() {
        for (next, expected) in [
            (
                Some("/view/states/alerting?a=b"),
                "/view/states/alerting?a=b",
            ),
            (Some("//evil.example"), "/"),
            (Some("/\\evil.example"), "/"),
            (Some("https://evil.example"), "/"),
            (Some("javascript:alert(1)"), "/"),
            (Some("/a\nSet-Cookie: b"), "/"),
            (None, "/"),
        ] {
            assert_eq!(local(next), expected, "{next:?}");
        }
    }
}
