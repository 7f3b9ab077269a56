//! Lists of any length, read page by page and sent as they are read: never gathered, and no snapshot of the database
//! held for as long as the slowest client reads.

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::{Deserialize, Serialize};
use tracing::error;
use utoipa::IntoParams;

use crate::error::Error;
use crate::extract::id;

/// Rows per statement.
const PAGE: i64 = 1000;

/// Which part of a list is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// At most so many entries; absent means all.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 4_294_967_295_u64)]
    limit: Option<u32>,
    /// Only what comes after the entry with this id.
    #[param(value_type = Option<String>, pattern = "^[0-9]{1,18}$")]
    #[serde(default, deserialize_with = "id")]
    after: Option<i64>,
}

/// Answers `{"FIELD": [entry, …]}`; see [`send_within`].
///
/// # Errors
/// As [`send_within`].
pub(crate) async fn send<Entry, Pages, Page>(
    field: &str,
    part: Part,
    page: Pages,
) -> Result<Response, Error>
where
    Entry: Serialize + Send + 'static,
    Pages: Fn(i64, i64) -> Page + Clone + Send + 'static,
    Page: Future<Output = sqlx::Result<Vec<(i64, Entry)>>> + Send,
{
    send_within(&[field], part, page).await
}

/// Answers `{"FIELD": {"FIELD": [entry, …]}}`, one within the other. `page` reads the next entries after an id, with their ids.
///
/// # Errors
/// If the first page cannot be read. If a later one cannot, the body breaks off, so that no client takes half a list
/// for a whole one.
pub(crate) async fn send_within<Entry, Pages, Page>(
    fields: &[&str],
    part: Part,
    page: Pages,
) -> Result<Response, Error>
where
    Entry: Serialize + Send + 'static,
    Pages: Fn(i64, i64) -> Page + Clone + Send + 'static,
    Page: Future<Output = sqlx::Result<Vec<(i64, Entry)>>> + Send,
{
    let left = part.limit.map_or(i64::MAX, i64::from);
    let first = page(part.after.unwrap_or(0), left.min(PAGE)).await?;
    let head: String = fields
        .iter()
        .map(|field| format!("{{{}:", serde_json::Value::from(*field)))
        .chain(["[".to_owned()])
        .collect();
    let tail = format!("]{}", "}".repeat(fields.len()));
    let start = Some(Progress {
        text: head,
        rows: first,
        left,
        is_first: true,
    });
    let body = stream::try_unfold(start, move |progress| {
        let (page, tail) = (page.clone(), tail.clone());
        async move {
            let Some(progress) = progress else {
                return Ok(None);
            };
            step(progress, page, &tail)
                .await
                .map(Some)
                .inspect_err(|error| error!(%error, "a list broke off"))
        }
    });
    Ok((
        [(header::CONTENT_TYPE, "application/json")],
        Body::from_stream(body),
    )
        .into_response())
}

/// What is to be sent next, and how much may follow it.
struct Progress<Entry> {
    text: String,
    rows: Vec<(i64, Entry)>,
    left: i64,
    is_first: bool,
}

/// Turns one page into text and reads the next.
async fn step<Entry, Page>(
    progress: Progress<Entry>,
    page: impl Fn(i64, i64) -> Page,
    tail: &str,
) -> Result<(String, Option<Progress<Entry>>), BrokenOff>
where
    Entry: Serialize,
    Page: Future<Output = sqlx::Result<Vec<(i64, Entry)>>>,
{
    let Progress {
        mut text,
        rows,
        left,
        mut is_first,
    } = progress;
    for (_, entry) in &rows {
        if !is_first {
            text.push(',');
        }
        is_first = false;
        text.push_str(&serde_json::to_string(entry)?);
    }
    let is_last_page = (rows.len() as i64) < left.min(PAGE);
    let left = left - rows.len() as i64;
    match rows.last() {
        Some((last, _)) if !is_last_page && left > 0 => {
            let rows = page(*last, left.min(PAGE)).await?;
            Ok((
                text,
                Some(Progress {
                    text: String::new(),
                    rows,
                    left,
                    is_first,
                }),
            ))
        }
        _ => {
            text.push_str(tail);
            Ok((text, None))
        }
    }
}

/// Why a list ended before its end.
#[derive(Debug, thiserror::Error)]
enum BrokenOff {
    #[error("a page could not be read")]
    Database(#[from] sqlx::Error),
    #[error("an entry could not be written")]
    Json(#[from] serde_json::Error),
}
