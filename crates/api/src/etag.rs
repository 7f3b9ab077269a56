//! Versions of definitions. Who edits one may say which version was seen (`If-Match`); an edit of an older one is refused, so
//! that nobody overwrites what they have not seen. A version is a hash of what is shown: nothing has to be kept for it.

use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// The version of a definition.
fn of(definition: &impl Serialize) -> Result<String, Error> {
    let text = serde_json::to_vec(definition).map_err(|_| Error::Internal)?;
    let hash = Sha256::digest(text);
    let hex: String = hash
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(format!("\"{hex}\""))
}

/// The definition with its version, or 304 if the client has it already.
///
/// # Errors
/// If it cannot be written as JSON.
pub(crate) fn tagged(definition: impl Serialize, headers: &HeaderMap) -> Result<Response, Error> {
    let tag = of(&definition)?;
    let tagged = [(header::ETAG, tag.clone())];
    Ok(match names(headers, header::IF_NONE_MATCH.as_str(), &tag) {
        Some(true) => (StatusCode::NOT_MODIFIED, tagged).into_response(),
        _ => (tagged, Json(definition)).into_response(),
    })
}

/// Refuses an edit of an older version than `present`. Who does not say which one was seen edits any.
///
/// # Errors
/// If another version was seen.
pub(crate) fn require_seen(present: &impl Serialize, headers: &HeaderMap) -> Result<(), Error> {
    match names(headers, header::IF_MATCH.as_str(), &of(present)?) {
        Some(false) => Err(Error::Changed),
        _ => Ok(()),
    }
}

/// Whether a header names this version, or any; `None` if it is not there.
fn names(headers: &HeaderMap, header: &str, tag: &str) -> Option<bool> {
    let mut values = headers.get_all(header).into_iter().peekable();
    values.peek()?;
    let mut tags = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        // a proxy that compresses marks what it sends as weak
        .map(|named| named.trim().trim_start_matches("W/"));
    Some(tags.any(|named| named == "*" || named == tag))
}
