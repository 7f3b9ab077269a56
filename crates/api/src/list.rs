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

/// Rows per statement of a list whose entries are small. What is held of a list is one page, whatever its length: entries
/// that carry much come in smaller ones.
pub(crate) const SMALL: i64 = 1000;

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

impl Part {
    /// As it was given: how many, and after what.
    pub(crate) fn given(self) -> (Option<u32>, Option<i64>) {
        (self.limit, self.after)
    }

    /// The part of a list that begins with the greatest id.
    pub(crate) fn downwards(self) -> Wanted<i64> {
        Wanted {
            limit: self.limit,
            after: self.after.unwrap_or(i64::MAX),
        }
    }
}

/// Which part of a list is wanted, by whatever its entries are in the order of.
#[derive(Debug)]
pub(crate) struct Wanted<Key> {
    /// At most so many entries; `None` means all.
    pub(crate) limit: Option<u32>,
    /// Only what comes after this.
    pub(crate) after: Key,
}

impl From<Part> for Wanted<i64> {
    fn from(part: Part) -> Self {
        Self {
            limit: part.limit,
            after: part.after.unwrap_or(0),
        }
    }
}

/// Answers `{"FIELD": [entry, …]}`; see [`send_within`].
///
/// # Errors
/// As [`send_within`].
pub(crate) async fn send<Key, Entry, Pages, Page>(
    field: &str,
    wanted: impl Into<Wanted<Key>>,
    page_rows: i64,
    page: Pages,
) -> Result<Response, Error>
where
    Key: Send + 'static,
    Entry: Serialize + Send + 'static,
    Pages: Fn(Key, i64) -> Page + Clone + Send + 'static,
    Page: Future<Output = sqlx::Result<Vec<(Key, Entry)>>> + Send,
{
    let head = format!("{{{}:[", serde_json::Value::from(field));
    send_within([head, "]}".to_owned()], wanted, page_rows, page).await
}

/// Answers what stands before the list, its entries, and what stands behind it. `page` reads the next entries after a key, with their
/// keys, at most `page_rows` at once; it is asked for them when those before were handed on, and not earlier.
///
/// # Errors
/// If the first page cannot be read. If a later one cannot, the body breaks off, so that no client takes half a list
/// for a whole one.
pub(crate) async fn send_within<Key, Entry, Pages, Page>(
    [head, tail]: [String; 2],
    wanted: impl Into<Wanted<Key>>,
    page_rows: i64,
    page: Pages,
) -> Result<Response, Error>
where
    Key: Send + 'static,
    Entry: Serialize + Send + 'static,
    Pages: Fn(Key, i64) -> Page + Clone + Send + 'static,
    Page: Future<Output = sqlx::Result<Vec<(Key, Entry)>>> + Send,
{
    let Wanted { limit, after } = wanted.into();
    let left = limit.map_or(i64::MAX, i64::from);
    let start = Some(Progress {
        next: Next::Read(page(after, left.min(page_rows)).await?),
        text: head,
        left,
        is_first: true,
    });
    let body = stream::try_unfold(start, move |progress| {
        let (page, tail) = (page.clone(), tail.clone());
        async move {
            let Some(progress) = progress else {
                return Ok(None);
            };
            step(progress, page_rows, page, &tail)
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
struct Progress<Key, Entry> {
    next: Next<Key, Entry>,
    /// What stands before it.
    text: String,
    left: i64,
    is_first: bool,
}

/// The next page.
enum Next<Key, Entry> {
    Read(Vec<(Key, Entry)>),
    After(Key),
}

/// Turns the next page into text.
async fn step<Key, Entry, Page>(
    progress: Progress<Key, Entry>,
    page_rows: i64,
    page: impl Fn(Key, i64) -> Page,
    tail: &str,
) -> Result<(String, Option<Progress<Key, Entry>>), BrokenOff>
where
    Entry: Serialize,
    Page: Future<Output = sqlx::Result<Vec<(Key, Entry)>>>,
{
    let Progress {
        next,
        mut text,
        left,
        mut is_first,
    } = progress;
    let asked = left.min(page_rows);
    let rows = match next {
        Next::Read(rows) => rows,
        Next::After(key) => page(key, asked).await?,
    };
    for (_, entry) in &rows {
        if !is_first {
            text.push(',');
        }
        is_first = false;
        text.push_str(&serde_json::to_string(entry)?);
    }
    let is_last_page = (rows.len() as i64) < asked;
    let left = left - rows.len() as i64;
    match rows.into_iter().next_back() {
        Some((last, _)) if !is_last_page && left > 0 => Ok((
            text,
            Some(Progress {
                next: Next::After(last),
                text: String::new(),
                left,
                is_first,
            }),
        )),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::StreamExt;

    use super::*;

    /// A client that reads slowly must not fill our memory.
    #[tokio::test]
    async fn no_page_is_read_before_the_last_one_was_handed_on() {
        let asked = Arc::new(AtomicUsize::new(0));
        let wanted = Wanted {
            limit: Some(50),
            after: 0,
        };
        let counted = Arc::clone(&asked);
        let answer = send("numbers", wanted, 20, move |after: i64, limit| {
            counted.fetch_add(1, Ordering::Relaxed);
            async move { Ok((after + 1..=after + limit).map(|n| (n, n)).collect()) }
        });
        let answer = answer.await.expect("the first page can be read");
        let mut text = Vec::new();
        let mut parts = answer.into_body().into_data_stream();
        for handed_on in 1..=3 {
            assert_eq!(asked.load(Ordering::Relaxed), 1.max(handed_on - 1));
            let part = parts.next().await.expect("there is more");
            text.extend(part.expect("it can be read"));
        }
        assert!(parts.next().await.is_none());
        assert_eq!(asked.load(Ordering::Relaxed), 3);
        let list: serde_json::Value = serde_json::from_slice(&text).expect("it is JSON");
        assert_eq!(
            list["numbers"],
            serde_json::json!((1..=50).collect::<Vec<_>>())
        );
    }
}
