//! All that the view knows. Nothing here reads a clock or waits: events come in, and the screen is drawn from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::actions::Deed;
use super::input::Field;
use super::rows::{Key, Rows, Sort};
use super::wire::{Alerts, Entry, Problem};

/// What time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Now {
    /// Unix seconds, to be shown.
    pub(super) unix: i64,
    /// Since the start, to be compared.
    pub(super) elapsed: Duration,
}

/// Something that is asked again and again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// The server that we talk to: its failing checks, its alerts, its name.
    Here,
    /// Which other clusters it knows.
    Clusters,
    /// Another cluster's failing checks, as our server knows them.
    Cluster(String),
}

/// Why there is no answer, or none that helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// The HTTP status, if a server refused.
    pub(super) status: Option<u16>,
    pub(super) words: String,
}

/// What a server answered to a [`Source`].
#[derive(Debug, Clone, PartialEq)]
pub(super) enum News {
    Here {
        cluster: String,
        problems: Vec<Arc<Problem>>,
        /// None from a server that has no alerts.
        alerts: Option<Alerts>,
        checks: Option<i64>,
    },
    Clusters(Vec<String>),
    Cluster {
        problems: Vec<Arc<Problem>>,
        /// Seconds since our server had it from that cluster.
        age: i64,
        /// Why it has nothing newer.
        error: Option<String>,
    },
}

/// One source: what it said last, and how that went.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Feed {
    pub(super) problems: Vec<Arc<Problem>>,
    /// When the last question was asked.
    pub(super) asked: Option<Duration>,
    pub(super) is_asking: bool,
    /// When what is here was true, unix seconds; None before the first answer.
    pub(super) as_of: Option<i64>,
    /// When that answer came.
    pub(super) answered: Option<Duration>,
    /// Why the last question was not answered.
    pub(super) trouble: Option<Trouble>,
}

/// Part of the details, which is asked for when they are opened.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    /// Why it is not asked for.
    None(&'static str),
    Asked,
    Here(Vec<Entry>),
    Failed(String),
}

/// What the details ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    Story,
    History,
    Notes,
}

/// Everything about one check.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Details {
    /// As it was when it was last failing.
    pub(super) problem: Arc<Problem>,
    pub(super) is_failing: bool,
    pub(super) parts: BTreeMap<Topic, Part>,
    pub(super) scroll: usize,
}

/// What fills the screen.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Page {
    List,
    Details(Details),
    /// With the page to come back to, and how far it is scrolled.
    Help(Box<Page>, usize),
}

/// What is asked before something is done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Dialog {
    /// The filter is being typed; Escape brings back what it was.
    Filter {
        before: String,
    },
    /// Something that cannot be undone.
    Confirm {
        question: String,
        act: Act,
    },
    Note {
        host: String,
        text: Field,
    },
    Maintenance(MaintenanceForm),
}

/// How long, and why.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct MaintenanceForm {
    pub(super) host: String,
    /// None: all of the host.
    pub(super) check: Option<String>,
    pub(super) lasts: Field,
    pub(super) reason: Field,
    pub(super) is_in_reason: bool,
    pub(super) complaint: Option<String>,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Act {
    /// To what: `web1/check_load`, `web1`.
    pub(super) subject: String,
    /// What it is when it is done: `suspended`.
    pub(super) done: String,
    pub(super) calls: Calls,
}

/// The calls that do it, one for each check that it is done to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Calls {
    These(Vec<Call>),
    /// For each check of a host, whatever its state: which they are is asked first.
    OfHost {
        /// The way to its cluster.
        prefix: String,
        host: String,
        deed: Deed,
        user: String,
    },
}

/// A request that changes something.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) verb: Verb,
    pub(super) path: String,
    pub(super) body: Value,
}

/// How it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Post,
    Delete,
}

/// How what was done went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Underway,
    Good,
    Bad,
}

/// The line that tells what became of an act.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    pub(super) tone: Tone,
    pub(super) text: String,
    pub(super) at: Duration,
}

/// What is to be done outside.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Request {
    Ask(Source),
    Look {
        topic: Topic,
        of: Key,
        path: String,
    },
    Do(Act),
    /// Draw everything anew: something else wrote on the terminal.
    Redraw,
}

/// What comes from outside.
#[derive(Debug)]
pub(super) enum Event {
    Key(ratatui::crossterm::event::KeyEvent),
    Pasted(String),
    Resized(u16, u16),
    /// Time has passed.
    Tick,
    /// Who is signed in, or works here.
    Named(String),
    Told(Source, Result<News, Trouble>),
    Looked {
        topic: Topic,
        of: Key,
        entries: Result<Vec<Entry>, Trouble>,
    },
    /// So many of an act's calls are done.
    Progress {
        subject: String,
        done: usize,
        of: usize,
    },
    Acted {
        act: Act,
        /// How many calls it had.
        calls: usize,
        /// How many of them were done.
        done: usize,
        /// Why the others were not.
        troubles: Vec<Trouble>,
        /// What the last answer tells besides.
        remark: Option<String>,
    },
}

/// The whole view.
#[derive(Debug)]
pub(super) struct Model {
    /// Who owns, and who writes notes.
    pub(super) user: String,
    /// Where the server is.
    pub(super) url: String,
    pub(super) refresh: Duration,
    /// Columns and lines.
    pub(super) size: (u16, u16),
    pub(super) now: Now,
    /// The name of the server's own cluster, once it is known.
    pub(super) here: String,
    pub(super) checks: Option<i64>,
    pub(super) alerts: Option<Alerts>,
    pub(super) feeds: BTreeMap<Source, Feed>,
    pub(super) rows: Rows,
    pub(super) selected: usize,
    /// The first line of the list that is shown.
    pub(super) offset: usize,
    pub(super) sort: Sort,
    pub(super) filter: Field,
    pub(super) unfolded: BTreeSet<String>,
    pub(super) page: Page,
    pub(super) dialog: Option<Dialog>,
    pub(super) said: Option<Said>,
    /// Acts that were begun, and of which nothing was heard yet.
    pub(super) acts: usize,
    /// Whoever wants to leave was told that they are not done.
    pub(super) is_leaving: bool,
    pub(super) is_over: bool,
}

impl Model {
    pub(super) fn new(user: String, url: String, refresh: Duration, size: (u16, u16)) -> Self {
        let now = Now {
            unix: 0,
            elapsed: Duration::ZERO,
        };
        Self {
            user,
            url,
            refresh,
            size,
            now,
            here: String::new(),
            checks: None,
            alerts: None,
            feeds: [Source::Here, Source::Clusters]
                .map(|source| (source, Feed::default()))
                .into(),
            rows: Rows::default(),
            selected: 0,
            offset: 0,
            sort: Sort::Time,
            filter: Field::default(),
            unfolded: BTreeSet::new(),
            page: Page::List,
            dialog: None,
            said: None,
            acts: 0,
            is_leaving: false,
            is_over: false,
        }
    }

    /// Every cluster was heard of, and nothing that was heard is old.
    pub(super) fn is_all_known(&self) -> bool {
        let is_known = |feed: &Feed| feed.as_of.is_some() && feed.trouble.is_none();
        self.feeds.values().all(is_known)
    }

    /// The server that we talk to.
    pub(super) fn own_feed(&self) -> &Feed {
        &self.feeds[&Source::Here]
    }

    /// What is known of this check's alert. Only our own server tells of alerts.
    pub(super) fn alert_of(&self, problem: &Problem) -> Option<&super::wire::Alert> {
        let alerts = self
            .alerts
            .as_ref()
            .filter(|_| problem.cluster == self.here)?;
        let of_check = alerts.of_checks.get(&problem.id);
        let of_host = || {
            alerts
                .of_hosts
                .get(&problem.host)
                .filter(|_| problem.is_unreachable)
        };
        of_check.or_else(of_host)
    }

    /// Whether it has failed for at least its threshold of runs.
    pub(super) fn is_hard(&self, problem: &Problem) -> bool {
        if problem.cluster == self.here && self.alerts.is_some() {
            self.alert_of(problem).is_some()
        } else {
            problem.seems_hard()
        }
    }

    /// All failing checks of a host.
    pub(super) fn problems_of(&self, cluster: &str, host: &str) -> Vec<Arc<Problem>> {
        let all = self.feeds.values().flat_map(|feed| &feed.problems);
        all.filter(|problem| problem.cluster == cluster && problem.host == host)
            .cloned()
            .collect()
    }

    /// Whether a source's data is older than it should be: it does not answer, or takes very long.
    pub(super) fn is_stale(&self, feed: &Feed) -> bool {
        let patience = self.refresh * 2 + Duration::from_secs(10);
        let since = feed.answered.unwrap_or_default();
        feed.trouble.is_some() || self.now.elapsed.saturating_sub(since) > patience
    }

    /// Whether something has been waited for long enough to say so.
    pub(super) fn is_busy(&self) -> bool {
        self.feeds.values().any(|feed| feed.is_asking)
            || self
                .said
                .as_ref()
                .is_some_and(|said| said.tone == Tone::Underway)
    }
}
