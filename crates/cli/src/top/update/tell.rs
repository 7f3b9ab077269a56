//! What comes from the server.

use crate::top::model::{Act, Model, News, Page, Part, Request, Source, Tone, Topic, Trouble};
use crate::top::rows::{self, Key};
use crate::top::wire::Entry;

impl Model {
    pub(super) fn told(&mut self, source: Source, news: Result<News, Trouble>) -> Vec<Request> {
        let Some(feed) = self.feeds.get_mut(&source) else {
            // a cluster that is no longer configured
            return Vec::new();
        };
        feed.is_asking = false;
        let is_first = source == Source::Here && feed.as_of.is_none();
        match news {
            Err(trouble) => {
                let is_refused = matches!(trouble.status, Some(401 | 403));
                // a wrong key does not become right by waiting
                self.is_over |= source == Source::Here && is_refused && feed.as_of.is_none();
                feed.trouble = Some(trouble);
            }
            Ok(news) => {
                let mut age = 0;
                feed.trouble = None;
                feed.answered = Some(self.now.elapsed);
                match news {
                    News::Here {
                        cluster,
                        problems,
                        alerts,
                        checks,
                    } => {
                        feed.problems = problems;
                        self.feeds.remove(&Source::Cluster(cluster.clone()));
                        self.here = cluster;
                        self.alerts = alerts;
                        self.checks = checks;
                    }
                    News::Clusters(names) => self.set_clusters(names),
                    News::Cluster {
                        problems,
                        age: seconds,
                        error,
                    } => {
                        feed.problems = problems;
                        feed.trouble = error.map(|words| Trouble {
                            status: None,
                            words,
                        });
                        age = seconds;
                    }
                }
                if let Some(feed) = self.feeds.get_mut(&source) {
                    feed.as_of = Some(self.now.unix - age);
                }
            }
        }
        self.rebuild();
        if is_first {
            // whoever answered sooner is not to keep the selection from what stands first
            self.selected = 0;
            rows::settle(self);
        }
        Vec::new()
    }

    pub(super) fn looked(&mut self, topic: Topic, of: &Key, entries: Result<Vec<Entry>, Trouble>) {
        let page = match &mut self.page {
            Page::Help(behind, _) => behind.as_mut(),
            page => page,
        };
        let Page::Details(details) = page else {
            return;
        };
        let shown = &details.problem;
        if *of != Key::Check(shown.cluster.clone(), shown.id.clone()) {
            return;
        }
        let part = match entries {
            Ok(entries) => Part::Here(entries),
            Err(trouble) => Part::Failed(trouble.words),
        };
        details.parts.insert(topic, part);
    }

    /// Tells what became of an act, in the server's words where it refused.
    pub(super) fn acted(
        &mut self,
        act: &Act,
        calls: usize,
        done: usize,
        troubles: &[Trouble],
        remark: Option<&str>,
    ) -> Vec<Request> {
        self.acts = self.acts.saturating_sub(1);
        self.is_leaving &= self.acts > 0;
        let Act {
            subject,
            done: what,
            ..
        } = act;
        let many = match calls {
            1 => String::new(),
            n => format!("{n} checks "),
        };
        match troubles.first() {
            None => {
                let remark = remark.map_or_else(String::new, |remark| format!(" ({remark})"));
                self.say(Tone::Good, format!("{subject}: {many}{what}{remark}"));
            }
            Some(trouble) => {
                let not = match (calls, trouble.status) {
                    (0 | 1, Some(_)) => "refused".to_owned(),
                    (0 | 1, None) => "not done".to_owned(),
                    (n, _) => format!("only {done} of {n} {what}"),
                };
                self.say(Tone::Bad, format!("{subject}: {not}: {}", trouble.words));
            }
        }
        self.refresh_all();
        self.look()
    }
}
