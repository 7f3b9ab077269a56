//! The one error of this border, and what a client hears of it: a problem document (RFC 9457).
//!
//! Handlers return `Result<_, Error>` and use `?`. What is the client's fault says what was wrong and where; what is
//! ours says nothing but that, and is logged here, once, with its causes.

use std::collections::BTreeMap;
use std::error::Error as _;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::{error, warn};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response as Described, ResponseBuilder};
use utoipa::{IntoParams, IntoResponses, ToSchema};

const PROBLEM: &str = "application/problem+json";

/// Everything that can be wrong with a request or its handling.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    BadRequest(String),
    #[error("{}", in_words(.0))]
    BadFields(Vec<FieldError>),
    #[error("send an API key in the header X-API-KEY, or sign in")]
    NoKey,
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("{0}")]
    RefusedElsewhere(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Elsewhere(String),
    #[error("{0}")]
    Unanswered(String),
    #[error("this route does not take that method; see /docs")]
    MethodNotAllowed,
    #[error("the header X-REGISTER-KEY does not hold this cluster's register key")]
    WrongRegisterKey,
    #[error("it was changed since you looked at it; look again")]
    Changed,
    #[error("too many requests from your address; try again after {0} s")]
    TooMany(u64),
    #[error("the body is larger than 1 MiB")]
    TooLarge,
    #[error("{0}")]
    NotReady(&'static str),
    #[error("the request was not handled in time")]
    TooSlow,
    #[error("an internal error, which is in the server's log")]
    Internal,
    #[error("the database refused or did not answer")]
    Database(#[from] sqlx::Error),
}

/// One wrong field of a request.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// Where it is: names joined by dots, as in `checks.check_load.interval`.
    #[schema(example = "limit")]
    pub(crate) at: String,
    /// What is wrong with it.
    #[schema(example = "is wrong: 1000 are the most")]
    pub(crate) message: String,
}

/// The first few of them, for logs and for people who read nothing else.
fn in_words(errors: &[FieldError]) -> String {
    const SHOWN: usize = 5;
    let mut words: Vec<_> = errors
        .iter()
        .take(SHOWN)
        .map(|error| format!("{} {}", error.at, error.message))
        .collect();
    if errors.len() > SHOWN {
        words.push(format!("{} more", errors.len() - SHOWN));
    }
    words.join("; ")
}

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// The status in words.
    #[schema(example = "Bad Request")]
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 400)]
    status: u16,
    /// What is wrong, for people.
    #[schema(example = "limit is wrong: 1000 are the most")]
    detail: String,
    /// Every field that is wrong.
    errors: Vec<FieldError>,
}

impl Error {
    /// One wrong field.
    pub(crate) fn field(at: &str, message: impl Into<String>) -> Self {
        Self::BadFields(vec![FieldError {
            at: at.to_owned(),
            message: message.into(),
        }])
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) | Self::BadFields(_) => StatusCode::BAD_REQUEST,
            Self::NoKey => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::RefusedElsewhere(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Elsewhere(_) => StatusCode::BAD_GATEWAY,
            Self::Unanswered(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::WrongRegisterKey | Self::Changed => StatusCode::PRECONDITION_FAILED,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotReady(_) | Self::TooSlow => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(error) if is_away(error) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal | Self::Database(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let this = match self {
            Self::Database(error) => refused_by_constraint(&error).unwrap_or(Self::Database(error)),
            this => this,
        };
        let status = this.status();
        if let Self::Database(error) = &this {
            log(error, status);
        }
        let detail = match &this {
            Self::Database(_) if status == StatusCode::SERVICE_UNAVAILABLE => {
                "the database does not answer; try again".to_owned()
            }
            Self::Database(_) => Self::Internal.to_string(),
            this => this.to_string(),
        };
        let retry_after = match &this {
            Self::TooMany(seconds) => Some(HeaderValue::from(*seconds)),
            _ if status == StatusCode::SERVICE_UNAVAILABLE => Some(HeaderValue::from_static("2")),
            _ => None,
        };
        let errors = match this {
            Self::BadFields(errors) => errors,
            _ => Vec::new(),
        };
        let problem = Problem {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail,
            errors,
        };
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
        if let Some(retry_after) = retry_after {
            headers.insert(header::RETRY_AFTER, retry_after);
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("ApiKey"));
        }
        response
    }
}

/// Logs a failure of ours with its causes.
fn log(error: &sqlx::Error, status: StatusCode) {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        warn!(%error, ?causes, "the database does not answer");
    } else {
        error!(%error, ?causes, "the database refused a statement");
    }
}

/// Whether the database is away, overloaded or not migrated: the same request may succeed a little later.
fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // connection, resources, shutdown; then serialization, deadlock, time limit, no such table
            ["08", "53", "57P"]
                .iter()
                .any(|class| code.starts_with(class))
                || ["40001", "40P01", "57014", "42P01"].contains(&code.as_ref())
        }),
        _ => false,
    }
}

/// A rule that only the database could check, said as the client's mistake.
fn refused_by_constraint(error: &sqlx::Error) -> Option<Error> {
    let error = error.as_database_error()?;
    if error.code().as_deref() == Some("22021") {
        return Some(Error::BadRequest(
            "the request holds a character that cannot be kept: NUL".to_owned(),
        ));
    }
    let (at, message) = match error.constraint()? {
        "hosts_hostname_is_named" => ("hostname", "must not be empty"),
        "hosts_port_is_a_port" => ("port", "must be from 1 to 65535"),
        "hosts_pin_is_a_fingerprint" => ("cert_sha256", "must be 64 lower-case hexadecimal digits"),
        "checks_name_is_named" => ("checks", "a check's name must not be empty"),
        "checks_interval_is_sane" => ("checks", "an interval must be from 1 to 604800"),
        "checks_follow_up_is_sane" => ("checks", "a follow_up must be from 1 to 604800"),
        "checks_priority_is_known" => ("checks", "a priority must not be negative"),
        "checks_timeout_is_sane" => ("checks", "a timeout must be from 1 to 3600"),
        "checks_thresholds_are_positive" => ("checks", "thresholds and windows must be positive"),
        _ => return None,
    };
    Some(Error::field(at, message))
}

/// In the description: how an operation that needs an API key can fail, whatever it does.
pub(crate) struct Failures;

impl IntoResponses for Failures {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        [
            (
                "400",
                "Something in the request is wrong; the document says what and where",
            ),
            ("401", "No API key, and nobody is signed in"),
            (
                "403",
                "A wrong API key, too little access, or a page of another site",
            ),
            ("413", "The body is larger than 1 MiB"),
            (
                "429",
                "Too many requests from your address; try again after `Retry-After` seconds",
            ),
            (
                "503",
                "The database does not answer; try again after `Retry-After` seconds",
            ),
        ]
        .map(|(status, description)| (status.to_owned(), described(description)))
        .into()
    }
}

/// In the description: how a registration can fail.
pub(crate) struct RegistrationFailures;

impl IntoResponses for RegistrationFailures {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        [
            ("400", "Wrong fields, all of them named"),
            ("403", "The name belongs to another agent"),
            ("412", "Wrong register key"),
            ("413", "Larger than 1 MiB"),
            (
                "429",
                "Too many requests from your address; try again after `Retry-After` seconds",
            ),
            (
                "503",
                "The database does not answer; try again after `Retry-After` seconds",
            ),
        ]
        .map(|(status, description)| (status.to_owned(), described(description)))
        .into()
    }
}

/// In the description: an edit may say which version it is of.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)] // a description: `etag` reads it
pub(crate) struct IfMatch {
    /// The `ETag` of the version that was seen: an edit of an older one is refused.
    #[param(rename = "If-Match", required = false)]
    if_match: Option<String>,
}

/// In the description: who looks again may say which version was seen.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)] // a description: `etag` reads it
pub(crate) struct IfNoneMatch {
    /// The `ETag` of the version that is known: if it is still so, the answer is 304 without a body.
    #[param(rename = "If-None-Match", required = false)]
    if_none_match: Option<String>,
}

/// In the description: the client has this version already.
#[derive(IntoResponses)]
#[response(status = 304, description = "It is as `If-None-Match` says", headers(("ETag" = String, description = "Its version")))]
#[allow(dead_code)] // a description: `etag` answers it
pub(crate) struct NotModified;

/// In the description: the path names something that is not there.
pub(crate) struct Unknown;

impl IntoResponses for Unknown {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        [(
            "404".to_owned(),
            described("What the path names is not there"),
        )]
        .into()
    }
}

/// In the description: nothing is known of another cluster.
pub(crate) struct Elsewhere;

impl IntoResponses for Elsewhere {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        let away = "The other cluster cannot be reached, or is out of order";
        [("502".to_owned(), described(away))].into()
    }
}

/// In the description: how something can fail that another cluster is to do.
pub(crate) struct DoneElsewhere;

impl IntoResponses for DoneElsewhere {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        [
            (
                "502",
                "The other cluster cannot be reached, or is something else: nothing was done",
            ),
            (
                "504",
                "The other cluster was asked, and did not answer in order or in time: it may have been done",
            ),
        ]
        .map(|(status, description)| (status.to_owned(), described(description)))
        .into()
    }
}

fn described(description: &str) -> RefOr<Described> {
    let problem = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    ResponseBuilder::new()
        .description(description)
        .content(PROBLEM, problem)
        .build()
        .into()
}
