//! What a receiver says may hold what it was sent: many an error page repeats the request. It is kept and shown without
//! what is secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use percent_encoding::percent_decode_str;
use reqwest::Url;

use super::facts::escaped;
use crate::config::Secret;

const HIDDEN: &str = "(hidden)";
/// Bytes of a secret's beginning that are hidden where a text was cut off within it.
const BEGINNING: usize = 4;
/// Bytes from which on a part of an encoded secret says anything.
const TELLING: usize = 8;
/// Bytes from which on a part of a URL is a key, and no word such as `services`; and from which on, if it has a digit.
const KEY: usize = 10;
const KEY_WITH_DIGITS: usize = 5;

/// Takes every secret out of a text, in whatever form a receiver may have seen it.
pub(super) fn hide(text: &mut String, secrets: &[&Secret]) {
    let mut forms: Vec<String> = secrets
        .iter()
        .flat_map(|secret| forms(secret.expose()))
        .collect();
    // what holds another one first
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    for form in forms {
        *text = text.replace(&form, HIDDEN);
        let mut cuts = (BEGINNING..form.len()).rev();
        if let Some(cut) = cuts.find(|cut| form.get(..*cut).is_some_and(|cut| text.ends_with(cut)))
        {
            text.truncate(text.len() - cut);
            text.push_str(HIDDEN);
        }
    }
}

/// As it is, in JSON, in a form, in basic authentication; and of a URL what a receiver sees of it.
fn forms(secret: &str) -> Vec<String> {
    let mut seen = vec![secret.to_owned()];
    if let Ok(url) = Url::parse(secret) {
        seen.extend(seen_of(&url));
    }
    let in_json = seen.iter().map(|text| {
        let json = serde_json::Value::from(text.as_str()).to_string();
        json[1..json.len() - 1].to_owned()
    });
    let in_form = seen.iter().map(|text| escaped(text));
    let in_base64 = seen
        .iter()
        .flat_map(|text| (0..3).filter_map(|before| in_base64(text, before)));
    let encoded: Vec<String> = in_json.chain(in_form).chain(in_base64).collect();
    seen.extend(encoded);
    seen.retain(|form| !form.is_empty());
    seen
}

/// Its path with and without the query, their parts as far as they may be keys, and its password, decoded as well.
fn seen_of(url: &Url) -> Vec<String> {
    let query = url.query().map(|query| format!("{}?{query}", url.path()));
    let whole = query.into_iter().chain([url.path().to_owned()]);
    let whole = whole.filter(|text| text.len() >= KEY_WITH_DIGITS);
    let is_key = |part: &str| {
        let least = if part.bytes().any(|byte| byte.is_ascii_digit()) {
            KEY_WITH_DIGITS
        } else {
            KEY
        };
        part.len() >= least
    };
    let parts = url.path_segments().into_iter().flatten();
    let parts = parts.chain(url.query()).map(str::to_owned);
    let values = url.query_pairs().map(|(_, value)| value.into_owned());
    let parts = parts.chain(values).filter(|part| is_key(part));
    let password = url.password().into_iter().flat_map(|password| {
        let decoded = percent_decode_str(password).decode_utf8_lossy();
        [password.to_owned(), decoded.into_owned()]
    });
    whole.chain(parts).chain(password).collect()
}

/// What is the same of it whatever stands before it, where that has so many bytes more than a multiple of three.
fn in_base64(secret: &str, before: usize) -> Option<String> {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(secret.as_bytes());
    let text = STANDARD_NO_PAD.encode(&bytes);
    let own = text.get((before * 8).div_ceil(6)..bytes.len() * 8 / 6)?;
    (own.len() >= TELLING).then(|| own.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(text: &str, secrets: &[&str]) -> String {
        let secrets: Vec<Secret> = secrets.iter().map(|secret| (*secret).into()).collect();
        let mut text = text.to_owned();
        hide(&mut text, &secrets.iter().collect::<Vec<_>>());
        text
    }

    #[test]
    fn a_secret_is_hidden_in_every_form() {
        let key = "k3y+with/\"quotes\"";
        for (text, expected) in [
            ("key k3y+with/\"quotes\"!", "key (hidden)!"),
            (r#"{"key":"k3y+with/\"quotes\""}"#, r#"{"key":"(hidden)"}"#),
            ("key=k3y%2Bwith%2F%22quotes%22&a=b", "key=(hidden)&a=b"),
            ("cut off: k3y+wi", "cut off: (hidden)"),
            ("nothing: k3y", "nothing: k3y"),
        ] {
            assert_eq!(hidden(text, &[key]), expected, "{text}");
        }
        for user in ["", "u", "us", "use"] {
            let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{key}"));
            let left = hidden(&text, &[key]);
            assert!(
                left.contains(HIDDEN) && left.len() < 8 + HIDDEN.len(),
                "{left}"
            );
        }
    }

    #[test]
    fn a_url_is_hidden_as_its_receiver_sees_it() {
        let url = "https://u:pass%20word1@hooks.example/services/T0/B0000000000?token=0123456789";
        for (text, expected) in [
            (
                "Cannot POST /services/T0/B0000000000",
                "Cannot POST (hidden)",
            ),
            ("no service B0000000000", "no service (hidden)"),
            ("bad token 0123456789", "bad token (hidden)"),
            (
                "GET /services/T0/B0000000000?token=0123456789 failed",
                "GET (hidden) failed",
            ),
            // base64 of `u:pass word1`, as a receiver gets it
            (
                "Authorization: Basic dTpwYXNzIHdvcmQx",
                "Authorization: Basic dTp(hidden)",
            ),
            ("no access for pass word1", "no access for (hidden)"),
            ("hooks.example says no to T0", "hooks.example says no to T0"),
            ("no such services", "no such services"),
        ] {
            assert_eq!(hidden(text, &[url]), expected, "{text}");
        }
    }
}
