//! What mails have in common, whoever carries them: problem, repeats and recovery of one alert are one thread, a mail that is
//! sent again is the same mail, and says so.

use super::text::Escape;
use super::{Message, clip_characters, digest};

/// Characters of a subject: a line of a header is at most 998 bytes (RFC 5322), and these may take four each.
const SUBJECT_MAX: usize = 240;

/// One line; what may have been told before is marked where nobody overlooks it.
pub(super) fn subject(message: &Message<'_>) -> String {
    let mark = if message.facts.is_possible_repeat {
        "[possibly a repeat] "
    } else {
        ""
    };
    let subject = message.subject(Escape::Plain);
    clip_characters(&format!("{mark}{subject}"), SUBJECT_MAX)
}

/// As text. A carriage return alone ends a line for some servers, and for others does not.
pub(super) fn text(message: &Message<'_>) -> String {
    message.body(Escape::Plain).replace('\r', " ")
}

/// As HTML that looks like the text.
pub(super) fn html(message: &Message<'_>) -> String {
    let body = message.body(Escape::Html).replace('\r', " ");
    format!(r#"<pre style="font: 14px/1.4 monospace; white-space: pre-wrap">{body}</pre>"#)
}

/// The mail's own id: what was sent before with it may be dropped as the same by whoever receives it.
pub(super) fn message_id(message: &Message<'_>, domain: &str) -> String {
    if message.notification.kind == "trigger" {
        first_id(message, domain)
    } else {
        format!("<{}@{domain}>", message.id())
    }
}

/// The mail that this one follows: the trigger's.
pub(super) fn references(message: &Message<'_>, domain: &str) -> Option<String> {
    (message.notification.kind != "trigger").then(|| first_id(message, domain))
}

/// Two channels may tell one person of one alert, in words of their own.
fn first_id(message: &Message<'_>, domain: &str) -> String {
    let channel = digest(&message.notification.channel);
    format!("<{}-{channel}@{domain}>", message.thread_id())
}
