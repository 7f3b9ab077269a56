//! The lines of the list: what is shown of all problems, in which order, and which one is selected.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::model::{Model, Source};
use super::wire::{Flood, Problem};

/// Our server asks other clusters every few seconds; what is older than this was not refreshed.
const OLD_S: i64 = 30;

/// What a line stands for: the same after a refresh, wherever the line is then.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Cluster(String),
    Flood(String),
    /// A host that cannot be reached: cluster and name.
    Host(String, String),
    /// A check: cluster and id.
    Check(String, String),
}

/// The order of hosts, and of the checks of one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// The newest first.
    Time,
    Host,
    /// The worst first.
    State,
    Cluster,
}

impl Sort {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Time => Self::Host,
            Self::Host => Self::State,
            Self::State => Self::Cluster,
            Self::Cluster => Self::Time,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Host => "host",
            Self::State => "state",
            Self::Cluster => "cluster",
        }
    }
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Row {
    /// A cluster whose data is missing or old.
    Cluster(String),
    Flood {
        flood: Flood,
        /// Its members that are failing now, and that the filter lets through.
        failing: usize,
        is_unfolded: bool,
    },
    /// Between parts; cannot be selected.
    Heading(String),
    /// A host that cannot be reached, with all its checks that say so.
    Host {
        problems: Vec<Arc<Problem>>,
        is_member: bool,
    },
    Check {
        problem: Arc<Problem>,
        is_hard: bool,
        /// The first line of its host.
        is_first: bool,
        is_member: bool,
    },
}

impl Row {
    /// None for what cannot be selected.
    pub(super) fn key(&self) -> Option<Key> {
        Some(match self {
            Self::Cluster(name) => Key::Cluster(name.clone()),
            Self::Flood { flood, .. } => Key::Flood(flood.id.clone()),
            Self::Heading(_) => return None,
            Self::Host { problems, .. } => {
                let first = problems.first()?;
                Key::Host(first.cluster.clone(), first.host.clone())
            }
            Self::Check { problem, .. } => Key::Check(problem.cluster.clone(), problem.id.clone()),
        })
    }

    /// The problem that the line shows, or the first of those that it stands for.
    pub(super) fn problem(&self) -> Option<&Arc<Problem>> {
        match self {
            Self::Check { problem, .. } => Some(problem),
            Self::Host { problems, .. } => problems.first(),
            _ => None,
        }
    }
}

/// All lines, and what is to be known of them together.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Rows {
    pub(super) lines: Vec<Row>,
    /// Failing checks, and how many of them the filter lets through.
    pub(super) all: usize,
    pub(super) matching: usize,
    pub(super) hard: usize,
    /// Characters of the longest name in each column.
    pub(super) cluster_width: usize,
    pub(super) host_width: usize,
    pub(super) check_width: usize,
    pub(super) owner_width: usize,
    pub(super) has_several_clusters: bool,
    /// What all names of hosts end with, from a dot on: where there is little room it can be left out.
    pub(super) domain: Option<String>,
}

/// Makes the lines anew after something has changed; the selection stays with what it was on.
pub(super) fn rebuild(model: &mut Model) {
    let was = model.rows.lines.get(model.selected).cloned();
    model.rows = rows(model);
    if let Some(was) = was {
        let found = was
            .key()
            .and_then(|key| place_of(model, &key, was.problem()));
        model.selected = found.unwrap_or(model.selected);
    }
    settle(model);
}

/// Where the line is now that stands for this.
fn place_of(model: &Model, key: &Key, problem: Option<&Arc<Problem>>) -> Option<usize> {
    let lines = &model.rows.lines;
    let at = |key: &Key| lines.iter().position(|row| row.key().as_ref() == Some(key));
    at(key).or_else(|| {
        // it is folded into something else now
        let problem = problem?;
        let parent = model
            .alert_of(problem)
            .and_then(|alert| alert.parent.clone());
        at(&Key::Host(problem.cluster.clone(), problem.host.clone()))
            .or_else(|| at(&Key::Flood(parent?)))
            .or_else(|| {
                let of_host = |row: &Row| {
                    row.problem().is_some_and(|other| {
                        (&other.cluster, &other.host) == (&problem.cluster, &problem.host)
                    })
                };
                lines.iter().position(of_host)
            })
    })
}

/// Puts the selection on a line that can have it, near where it is.
pub(super) fn settle(model: &mut Model) {
    let lines = &model.rows.lines;
    let last = lines.len().saturating_sub(1);
    let wanted = model.selected.min(last);
    let can = |n: &usize| lines[*n].key().is_some();
    model.selected = (wanted..lines.len())
        .find(can)
        .or_else(|| (0..wanted).rev().find(can))
        .unwrap_or(0);
}

fn rows(model: &Model) -> Rows {
    let words: Vec<String> = model
        .filter
        .text
        .split_whitespace()
        .map(str::to_lowercase)
        .collect();
    let mut rows = Rows {
        has_several_clusters: model
            .feeds
            .keys()
            .any(|source| matches!(source, Source::Cluster(_))),
        ..Rows::default()
    };
    let mut groups = Groups::default();
    let mut members: BTreeMap<&str, Groups> = BTreeMap::new();
    let floods = model.alerts.as_ref().map(|alerts| alerts.floods.as_slice());
    let floods = floods.unwrap_or_default();
    for problem in model.feeds.values().flat_map(|feed| &feed.problems) {
        rows.all += 1;
        let is_hard = model.is_hard(problem);
        rows.hard += usize::from(is_hard);
        if !words.iter().all(|word| problem.haystack.contains(word)) {
            continue;
        }
        rows.matching += 1;
        let domain = problem.host.find('.').map(|dot| &problem.host[dot..]);
        if rows.matching == 1 {
            rows.domain = domain.map(str::to_owned);
        } else if rows.domain.as_deref() != domain {
            rows.domain = None;
        }
        rows.measure(problem);
        let parent = model
            .alert_of(problem)
            .and_then(|alert| alert.parent.as_deref());
        match parent.filter(|parent| floods.iter().any(|flood| flood.id == *parent)) {
            Some(flood) => members.entry(flood).or_default().add(problem, is_hard),
            None => groups.add(problem, is_hard),
        }
    }
    rows.lines.extend(clusters_in_trouble(model));
    for flood in floods.iter().rev() {
        let members = members.remove(flood.id.as_str()).unwrap_or_default();
        let is_unfolded = model.unfolded.contains(&flood.id) || !words.is_empty();
        if words.is_empty() || members.problems > 0 {
            rows.lines.push(Row::Flood {
                flood: flood.clone(),
                failing: members.problems,
                is_unfolded,
            });
        }
        if is_unfolded {
            let (checks, hosts) = members.lines(model.sort, true);
            rows.lines.extend(checks.into_iter().chain(hosts));
        }
    }
    let (checks, hosts) = groups.lines(model.sort, false);
    rows.lines.extend(checks);
    if !hosts.is_empty() {
        let s = if hosts.len() == 1 { "" } else { "s" };
        rows.lines
            .push(Row::Heading(format!("{} unreachable host{s}", hosts.len())));
        rows.lines.extend(hosts);
    }
    rows
}

/// Other clusters that do not answer, or whose data our server could not refresh.
fn clusters_in_trouble(model: &Model) -> Vec<Row> {
    let mut lines = Vec::new();
    for (source, feed) in &model.feeds {
        let Source::Cluster(name) = source else {
            continue;
        };
        // by the age that it came with: how often we ask is our own affair
        let is_old = feed
            .as_of
            .zip(feed.answered)
            .is_some_and(|(as_of, answered)| {
                let since = model.now.elapsed.saturating_sub(answered).as_secs();
                model.now.unix - since.cast_signed() - as_of > OLD_S
            });
        // while our own server is lost, that is what is told
        if model.own_feed().trouble.is_none() && (feed.trouble.is_some() || is_old) {
            lines.push(Row::Cluster(name.clone()));
        }
    }
    lines
}

impl Rows {
    fn measure(&mut self, problem: &Problem) {
        let longest = |longest: &mut usize, name: &str| {
            *longest = (*longest).max(name.chars().count());
        };
        longest(&mut self.cluster_width, &problem.cluster);
        longest(&mut self.host_width, &problem.host);
        longest(&mut self.check_width, &problem.check);
        longest(&mut self.owner_width, &problem.owner);
    }
}

/// A problem, and whether it is hard.
type Ranked<'a> = (&'a Arc<Problem>, bool);

/// Problems by cluster and host.
#[derive(Default)]
struct Groups<'a> {
    hosts: BTreeMap<(&'a str, &'a str), Vec<Ranked<'a>>>,
    problems: usize,
}

impl<'a> Groups<'a> {
    fn add(&mut self, problem: &'a Arc<Problem>, is_hard: bool) {
        self.problems += 1;
        self.hosts
            .entry((&problem.cluster, &problem.host))
            .or_default()
            .push((problem, is_hard));
    }

    /// A line for each check, and one for each host that cannot be reached.
    fn lines(self, sort: Sort, is_member: bool) -> (Vec<Row>, Vec<Row>) {
        let mut hosts: Vec<_> = self.hosts.into_iter().collect();
        for (_, problems) in &mut hosts {
            problems
                .sort_by_key(|(problem, is_hard)| (rank(sort, problem, *is_hard), &problem.check));
        }
        // a host stands where its first check would
        hosts.sort_by_cached_key(|((cluster, host), problems)| {
            let first = problems
                .first()
                .map(|(problem, is_hard)| rank(sort, problem, *is_hard));
            match sort {
                Sort::Cluster => (None, *cluster, *host),
                Sort::Host => (None, *host, *cluster),
                Sort::Time | Sort::State => (first, *host, *cluster),
            }
        });
        let (mut checks, mut unreachable) = (Vec::new(), Vec::new());
        for (_, problems) in hosts {
            let (silent, failing): (Vec<_>, Vec<_>) = problems
                .into_iter()
                .partition(|(problem, _)| problem.is_unreachable);
            for (n, (problem, is_hard)) in failing.into_iter().enumerate() {
                checks.push(Row::Check {
                    problem: Arc::clone(problem),
                    is_hard,
                    is_first: n == 0,
                    is_member,
                });
            }
            if !silent.is_empty() {
                unreachable.push(Row::Host {
                    problems: silent
                        .into_iter()
                        .map(|(problem, _)| Arc::clone(problem))
                        .collect(),
                    is_member,
                });
            }
        }
        (checks, unreachable)
    }
}

/// What comes first in this order; names decide between equals.
fn rank(sort: Sort, problem: &Problem, is_hard: bool) -> (bool, u8, Reverse<i64>) {
    let since = Reverse(problem.since.unwrap_or(0));
    match sort {
        Sort::Time => (false, 0, since),
        Sort::State => (!is_hard, problem.state as u8, since),
        Sort::Host | Sort::Cluster => (false, 0, Reverse(0)),
    }
}
