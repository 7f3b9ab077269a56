//! The parts of a request, taken so that a wrong one is answered with a problem document.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FormRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use chrono::{DateTime, Utc};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::client::Client;
use crate::error::Error;
use crate::fields;

/// Variables of the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Error))]
pub(crate) struct Path<T>(pub(crate) T);

/// Parameters behind the `?`.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Error))]
pub(crate) struct Query<T>(pub(crate) T);

/// What a page's form sends.
#[derive(FromRequest)]
#[from_request(via(axum::extract::Form), rejection(Error))]
pub(crate) struct Form<T>(pub(crate) T);

/// Unix seconds behind the `?`.
pub(crate) fn time<'de, D: Deserializer<'de>>(value: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let Some(seconds) = Option::<f64>::deserialize(value)? else {
        return Ok(None);
    };
    let time = fields::unix(&Value::from(seconds));
    time.map(Some)
        .map_err(|_| D::Error::custom("a time is unix seconds"))
}

/// The most entries of a list that is gathered, since its newest entries are wanted, oldest first.
const FEW: u32 = 1000;

/// How many entries of such a list are wanted.
pub(crate) fn few<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u32>, D::Error> {
    // as far as the description's `int32` goes
    let limit = Option::<i32>::deserialize(value)?;
    let natural =
        |limit: i32| u32::try_from(limit).map_err(|_| D::Error::custom("must not be negative"));
    Ok(limit.map(natural).transpose()?.map(|limit| limit.min(FEW)))
}

/// An id behind the `?`: digits only, as they are given out. No sign, though Rust would read one.
pub(crate) fn id<'de, D: Deserializer<'de>>(value: D) -> Result<Option<i64>, D::Error> {
    let Some(text) = Option::<String>::deserialize(value)? else {
        return Ok(None);
    };
    let is_id = (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let id = is_id.then(|| text.parse().ok()).flatten();
    id.map(Some)
        .ok_or_else(|| D::Error::custom("an id is 1 to 18 digits"))
}

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        Ok(Self::of(parts))
    }
}

/// A JSON body, whatever its shape and declared type: the original's agents are not strict about the latter.
pub(crate) struct Body(pub(crate) Value);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let bytes = Bytes::from_request(request, state).await?;
        let value = serde_json::from_slice(&bytes)
            .map_err(|error| Error::BadRequest(format!("the body is not JSON: {error}")))?;
        Ok(Self(value))
    }
}

impl From<PathRejection> for Error {
    fn from(rejection: PathRejection) -> Self {
        Self::BadRequest(format!("the path is wrong: {}", rejection.body_text()))
    }
}

impl From<QueryRejection> for Error {
    fn from(rejection: QueryRejection) -> Self {
        let text = rejection.body_text();
        // the text begins with which parameter it is
        let told = text
            .rsplit_once("query string: ")
            .map_or(text.as_str(), |(_, told)| told);
        match told.split_once(": ") {
            Some((parameter, message))
                if parameter
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c == '_') =>
            {
                Self::field(parameter, format!("is wrong: {message}"))
            }
            _ => Self::BadRequest(format!("the query is wrong: {told}")),
        }
    }
}

impl From<FormRejection> for Error {
    fn from(rejection: FormRejection) -> Self {
        if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
            return Self::TooLarge;
        }
        Self::BadRequest(format!("the form is wrong: {}", rejection.body_text()))
    }
}

impl From<BytesRejection> for Error {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
            return Self::TooLarge;
        }
        Self::BadRequest("the body did not arrive whole".to_owned())
    }
}
