//! Whether a browser's request comes from our own pages: what another site makes a browser send bears our cookie too.

use axum::http::{HeaderMap, Uri, header};

use crate::error::Error;

const FETCH_SITE: &str = "sec-fetch-site";

/// Refuses what another site may have caused. Browsers say so themselves (Fetch Metadata); of those that do not, the
/// `Origin` is compared with where people reach us.
///
/// # Errors
/// If it is another origin's, or nothing tells.
pub(crate) fn require_same(headers: &HeaderMap, public_url: Option<&str>) -> Result<(), Error> {
    let text = |name: &str| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or_default())
    };
    let is_same = match (text(FETCH_SITE), text(header::ORIGIN.as_str())) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => {
            let origin = authority(origin);
            origin.is_some()
                && (origin == text(header::HOST.as_str()).map(str::to_owned)
                    || origin == public_url.and_then(authority))
        }
        (None, None) => false,
    };
    match is_same {
        true => Ok(()),
        false => Err(Error::Forbidden(
            "this request does not come from a page of ours; programs use an API key",
        )),
    }
}

fn authority(url: &str) -> Option<String> {
    let url: Uri = url.parse().ok()?;
    Some(url.authority()?.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn origins() {
        let cases: [(&[(&str, &str)], bool); 9] = [
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "http://here:5000"),
                ],
                false,
            ),
            (&[("sec-fetch-site", "none")], false),
            (&[("origin", "http://here:5000")], true),
            (&[("origin", "http://here:5001")], false),
            (&[("origin", "https://stalker.example.net")], true),
            (&[("origin", "null")], false),
            (&[], false),
        ];
        for (given, is_same) in cases {
            let mut headers =
                HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("here:5000"))]);
            for (name, value) in given {
                headers.insert(
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                );
            }
            let found = require_same(&headers, Some("https://stalker.example.net/")).is_ok();
            assert_eq!(found, is_same, "{given:?}");
        }
    }
}
