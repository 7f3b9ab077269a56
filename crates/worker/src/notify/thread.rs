//! Message-IDs of mails: problem, repeats and recovery of one alert are one thread, and a mail that is sent again is the
//! same mail.

use super::Message;

/// The mail's own id: what was sent before with it may be dropped as the same by whoever receives it.
pub(super) fn message_id(message: &Message<'_>, domain: &str) -> String {
    if message.notification.kind == "trigger" {
        format!("<{}@{domain}>", message.thread_id())
    } else {
        format!("<{}@{domain}>", message.id())
    }
}

/// The mail that this one follows: the trigger's.
pub(super) fn references(message: &Message<'_>, domain: &str) -> Option<String> {
    (message.notification.kind != "trigger").then(|| format!("<{}@{domain}>", message.thread_id()))
}
