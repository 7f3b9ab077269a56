//! What a channel was told, as its receiver saw it.

use std::fmt;

use super::Stage;
use crate::receiver::Received;

/// The channel of every stage; pages of others are shown with their channel's name.
pub const PAGER: &str = "pager";

/// One request that a receiver got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The channel.
    pub channel: String,
    /// `trigger` or `resolve`. A repeat is a trigger too: only its key tells.
    pub kind: String,
    /// The deduplication key.
    pub key: String,
    /// What people read.
    pub text: String,
    /// How the receiver answered.
    pub answer: u16,
}

impl Page {
    pub(super) fn new(channel: &str, received: &Received) -> Self {
        Self {
            channel: channel.to_owned(),
            kind: received.text("event_type").to_owned(),
            key: received.text("incident_key").to_owned(),
            text: received.text("description").to_owned(),
            answer: received.answer,
        }
    }

    /// What the alert is of: `web1/check_a`, `web1`, `flood of web1`, or `flood`.
    #[must_use]
    pub fn subject(&self) -> String {
        // HOST:CHECK:EPISODE, HOST:EPISODE, HOST:flood:EPISODE, :flood:EPISODE
        let (subject, _episode) = self.key.rsplit_once(':').unwrap_or((&self.key, ""));
        match subject.split_once(':') {
            Some(("", "flood")) => "flood".to_owned(),
            Some((host, "flood")) => format!("flood of {host}"),
            Some((host, check)) => format!("{host}/{check}"),
            None => subject.to_owned(),
        }
    }

    /// The receiver has taken it.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        (200..300).contains(&self.answer)
    }
}

/// `trigger web1/check_a`, or `chat: trigger web1/check_a` for another channel than the pager.
impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.channel != PAGER {
            write!(f, "{}: ", self.channel)?;
        }
        write!(f, "{} {}", self.kind, self.subject())
    }
}

impl Stage {
    /// Expects exactly these accepted pages since the last time that this was asked, once all is settled: each as
    /// [`Page`] shows itself. Those of one subject and channel in their order; between others there is none.
    ///
    /// # Panics
    /// If it is not so.
    pub async fn pages(&mut self, expected: &[impl AsRef<str>]) {
        let seen = self.new_pages().await;
        let seen = seen.iter().map(Page::to_string).collect();
        let expected = expected
            .iter()
            .map(|page| page.as_ref().to_owned())
            .collect();
        assert_eq!(
            by_subject(seen),
            by_subject(expected),
            "the pages (left) are not those of the story (right)"
        );
    }

    /// Expects that there are none: [`Stage::pages`] of nothing.
    ///
    /// # Panics
    /// If there are some.
    pub async fn no_pages(&mut self) {
        self.pages(&[] as &[&str]).await;
    }

    /// The accepted pages since the last time that this was asked, once all is settled.
    ///
    /// # Panics
    /// As [`Stage::settle`].
    pub async fn new_pages(&mut self) -> Vec<Page> {
        self.settle().await;
        let mut pages = self.received();
        pages.retain(Page::is_accepted);
        let new = pages.split_off(self.pages_seen);
        self.pages_seen += new.len();
        new
    }

    /// Everything that any channel was told, whatever it answered, in the order of arrival.
    #[must_use]
    pub fn received(&self) -> Vec<Page> {
        let mut pages: Vec<_> = self
            .receivers
            .iter()
            .flat_map(|(channel, receiver)| {
                let received = receiver.received();
                received
                    .into_iter()
                    .map(move |request| (request.at, Page::new(channel, &request)))
            })
            .collect();
        pages.sort_by_key(|(at, _)| *at);
        pages.into_iter().map(|(_, page)| page).collect()
    }
}

fn by_subject(mut pages: Vec<String>) -> Vec<String> {
    pages.sort_by_key(|page| page.replacen("trigger ", "", 1).replacen("resolve ", "", 1));
    pages
}
