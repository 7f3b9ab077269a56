//! The cookie of a session. Scripts do not see it, and other sites' forms do not bring it along.

use axum::http::{HeaderMap, HeaderValue, header};

/// Behind TLS the name itself makes browsers refuse it from anywhere else.
const SECURE: &str = "__Host-stalker";
/// Without TLS.
pub(crate) const PLAIN: &str = "stalker";
/// Seconds that a browser may keep it that was asked to remember: as long as a session lives.
const REMEMBERED_S: u32 = 7 * 86_400;

/// The secret of the session that a request shows. Behind TLS one without the name that TLS protects is somebody else's: a
/// neighbouring site may have put it there.
pub(crate) fn session(headers: &HeaderMap, is_secure: bool) -> Option<&str> {
    let expected = name(is_secure);
    let cookies = headers.get_all(header::COOKIE).into_iter();
    let mut pairs = cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(name, _)| *name == expected)
        .map(|(_, secret)| secret)
        .filter(|secret| !secret.is_empty())
}

/// Gives a browser the secret of its session.
pub(crate) fn set(secret: &str, is_remembered: bool, is_secure: bool) -> HeaderValue {
    let age = is_remembered.then(|| format!("; Max-Age={REMEMBERED_S}"));
    cookie(secret, &age.unwrap_or_default(), is_secure)
}

/// Takes it back.
pub(crate) fn clear(is_secure: bool) -> HeaderValue {
    cookie("", "; Max-Age=0", is_secure)
}

fn name(is_secure: bool) -> &'static str {
    if is_secure { SECURE } else { PLAIN }
}

fn cookie(secret: &str, age: &str, is_secure: bool) -> HeaderValue {
    let secure = if is_secure { "; Secure" } else { "" };
    let name = name(is_secure);
    let text = format!("{name}={secret}; Path=/; HttpOnly; SameSite=Lax{secure}{age}");
    HeaderValue::try_from(text).expect("a secret is letters and digits")
}
