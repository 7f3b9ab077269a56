//! Who may call. A permission is an extractor in a handler's signature, so that a handler without one is visibly
//! public: `Viewer` looks, `Operator` steers runs and messages, `Admin` destroys.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use stalker_db::api_keys;
use stalker_domain::wire::{API_KEY_HEADER, REGISTER_KEY_HEADER};
use subtle::ConstantTimeEq;

use crate::App;
use crate::error::Error;

/// May look at everything.
pub(crate) struct Viewer;
/// May also run, reschedule, suspend, resume and own checks, try messages again and test channels.
pub(crate) struct Operator {
    /// The name of the key, for people.
    pub(crate) key_name: String,
}
/// May also delete hosts and checks.
pub(crate) struct Admin;
/// Showed this cluster's register key, as agents do.
pub(crate) struct Agent;

#[derive(PartialEq, PartialOrd)]
enum Access {
    Viewer,
    Operator,
    Admin,
}

/// The name of the key.
async fn require(parts: &Parts, app: &App, needed: Access) -> Result<String, Error> {
    let key = parts.headers.get(API_KEY_HEADER).ok_or(Error::NoKey)?;
    let key = key
        .to_str()
        .map_err(|_| Error::Forbidden("the API key is wrong"))?;
    let wrong = Error::Forbidden("the API key is wrong");
    let Some(key) = api_keys::find(&app.pool, key).await? else {
        return Err(wrong);
    };
    let access = match key.access.as_str() {
        "admin" => Access::Admin,
        "operator" => Access::Operator,
        "viewer" => Access::Viewer,
        _ => return Err(wrong),
    };
    if access < needed {
        return Err(Error::Forbidden("the API key may not do this"));
    }
    Ok(key.name)
}

impl FromRequestParts<App> for Viewer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        require(parts, app, Access::Viewer).await.map(|_| Self)
    }
}

impl FromRequestParts<App> for Operator {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let key_name = require(parts, app, Access::Operator).await?;
        Ok(Self { key_name })
    }
}

impl FromRequestParts<App> for Admin {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        require(parts, app, Access::Admin).await.map(|_| Self)
    }
}

impl FromRequestParts<App> for Agent {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        if !shows(&parts.headers, &app.config.register_key) {
            return Err(Error::WrongRegisterKey);
        }
        Ok(Self)
    }
}

/// Compares in constant time, so that the time tells nothing about a wrong key but its length.
fn shows(headers: &HeaderMap, register_key: &str) -> bool {
    headers
        .get(REGISTER_KEY_HEADER)
        .is_some_and(|shown| shown.as_bytes().ct_eq(register_key.as_bytes()).into())
}
