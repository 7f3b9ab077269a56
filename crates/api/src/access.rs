//! Who may call. A permission is an extractor in a handler's signature, so that a handler without one is visibly
//! public: `Viewer` looks, `Operator` steers runs, `Admin` destroys.

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
/// May also run, reschedule, suspend and resume checks.
pub(crate) struct Operator;
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

async fn require(parts: &Parts, app: &App, needed: Access) -> Result<(), Error> {
    let key = parts.headers.get(API_KEY_HEADER).ok_or(Error::NoKey)?;
    let key = key
        .to_str()
        .map_err(|_| Error::Forbidden("the API key is wrong"))?;
    let access = match api_keys::find_access(&app.pool, key).await?.as_deref() {
        Some("admin") => Access::Admin,
        Some("operator") => Access::Operator,
        Some("viewer") => Access::Viewer,
        _ => return Err(Error::Forbidden("the API key is wrong")),
    };
    if access < needed {
        return Err(Error::Forbidden("the API key may not do this"));
    }
    Ok(())
}

impl FromRequestParts<App> for Viewer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        require(parts, app, Access::Viewer).await.map(|()| Self)
    }
}

impl FromRequestParts<App> for Operator {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        require(parts, app, Access::Operator).await.map(|()| Self)
    }
}

impl FromRequestParts<App> for Admin {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        require(parts, app, Access::Admin).await.map(|()| Self)
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
