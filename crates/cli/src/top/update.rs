//! What becomes of the view when something happens: pure, so that it is tested as a table.

mod dialogs;
mod keys;
mod tell;

use std::sync::Arc;
use std::time::Duration;

use super::fetch;
use super::model::{Details, Event, Model, Now, Page, Part, Request, Said, Source, Tone, Topic};
use super::rows::{self, Key};
use super::view;
use super::wire::Problem;

/// How long a line that tells what was done stays.
const TOLD: Duration = Duration::from_secs(20);

impl Model {
    /// Takes in what has happened, and gives what is to be done for it.
    pub(super) fn update(&mut self, event: Event, now: Now) -> Vec<Request> {
        self.now = now;
        let mut requests = match event {
            Event::Key(key) => self.key(key),
            Event::Pasted(text) => {
                self.paste(&text);
                Vec::new()
            }
            Event::Resized(columns, lines) => {
                self.size = (columns, lines);
                Vec::new()
            }
            Event::Tick => {
                self.forget_said();
                Vec::new()
            }
            Event::Named(user) => {
                self.user = user;
                Vec::new()
            }
            Event::Told(source, news) => self.told(source, news),
            Event::Looked { topic, of, entries } => {
                self.looked(topic, &of, entries);
                Vec::new()
            }
            Event::Progress { subject, done, of } => {
                // whoever wants to leave is to read what that means
                if !self.is_leaving {
                    self.say(Tone::Underway, format!("{subject}: {done} of {of}"));
                }
                Vec::new()
            }
            Event::Acted {
                act,
                calls,
                done,
                troubles,
                remark,
            } => self.acted(&act, calls, done, &troubles, remark.as_deref()),
        };
        self.scroll_to_selection();
        requests.extend(self.due());
        requests
    }

    /// What is to be asked now.
    fn due(&mut self) -> Vec<Request> {
        let mut requests = Vec::new();
        for (source, feed) in &mut self.feeds {
            let is_due = feed
                .asked
                .is_none_or(|asked| self.now.elapsed.saturating_sub(asked) >= self.refresh);
            if is_due && !feed.is_asking {
                feed.is_asking = true;
                feed.asked = Some(self.now.elapsed);
                requests.push(Request::Ask(source.clone()));
            }
        }
        requests
    }

    /// Asks everything anew. What is being asked just now may be answered from before, so that is asked once more.
    fn refresh_all(&mut self) {
        for feed in self.feeds.values_mut() {
            feed.asked = None;
        }
    }

    fn say(&mut self, tone: Tone, text: impl Into<String>) {
        self.said = Some(Said {
            tone,
            text: text.into(),
            at: self.now.elapsed,
        });
    }

    fn forget_said(&mut self) {
        let is_over = |said: &Said| {
            said.tone != Tone::Underway && self.now.elapsed.saturating_sub(said.at) > TOLD
        };
        if self.said.as_ref().is_some_and(is_over) {
            self.said = None;
        }
    }

    /// Moves the part of the list that is shown as little as possible.
    fn scroll_to_selection(&mut self) {
        let height = view::list_height(self).max(1);
        let last = self.rows.lines.len().saturating_sub(height);
        self.offset = self
            .offset
            .min(self.selected)
            .max((self.selected + 1).saturating_sub(height))
            .min(last);
        // the heading above the first line belongs to it
        if self.offset > 0 && self.offset == self.selected && height > 1 {
            let above = &self.rows.lines[self.offset - 1];
            self.offset -= usize::from(above.key().is_none());
        }
    }

    /// Opens the details of a check, and asks for what is not known yet.
    fn open_details(&mut self, problem: Arc<Problem>) -> Vec<Request> {
        self.page = Page::Details(Details {
            problem,
            is_failing: true,
            parts: [Topic::Story, Topic::History, Topic::Notes]
                .map(|topic| (topic, Part::Asked))
                .into(),
            scroll: 0,
        });
        self.look()
    }

    /// Asks for the parts of the details that are shown.
    fn look(&mut self) -> Vec<Request> {
        let Page::Details(details) = &self.page else {
            return Vec::new();
        };
        let problem = Arc::clone(&details.problem);
        let alert = self.alert_of(&problem).map(|alert| alert.id.clone());
        let of = Key::Check(problem.cluster.clone(), problem.id.clone());
        let mut requests = Vec::new();
        let mut parts = details.parts.clone();
        for (topic, part) in &mut parts {
            match fetch::path(*topic, &self.here, &problem, alert.as_deref()) {
                Some(path) => {
                    // what is there stays until the new answer comes
                    if !matches!(part, Part::Here(_)) {
                        *part = Part::Asked;
                    }
                    requests.push(Request::Look {
                        topic: *topic,
                        of: of.clone(),
                        path,
                    });
                }
                None if matches!(part, Part::Here(_)) => {}
                None if problem.cluster != self.here => {
                    *part = Part::None("kept by its own cluster: look there");
                }
                None => *part = Part::None("not alerting yet: nobody is told of it"),
            }
        }
        if let Page::Details(details) = &mut self.page {
            details.parts = parts;
        }
        requests
    }

    /// Makes the lines of the list anew, and brings open details up to date.
    fn rebuild(&mut self) {
        rows::rebuild(self);
        let Page::Details(details) = &self.page else {
            return;
        };
        let shown = &details.problem;
        let mut all = self.feeds.values().flat_map(|feed| &feed.problems);
        let found = all
            .find(|problem| (&problem.cluster, &problem.id) == (&shown.cluster, &shown.id))
            .cloned();
        if let Page::Details(details) = &mut self.page {
            details.is_failing = found.is_some();
            if let Some(problem) = found {
                details.problem = problem;
            }
        }
    }

    /// The feeds of the clusters that there are now.
    fn set_clusters(&mut self, names: Vec<String>) {
        self.feeds.retain(|source, _| match source {
            Source::Cluster(name) => names.contains(name),
            _ => true,
        });
        for name in names.into_iter().filter(|name| *name != self.here) {
            self.feeds.entry(Source::Cluster(name)).or_default();
        }
    }
}
