//! The list: a line for each check, with as many columns as there is room for.

use std::sync::Arc;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::text::{age, fit, pad, wrap};
use super::{Look, NARROW};
use crate::top::model::{Model, Source};
use crate::top::rows::{Row, Rows};
use crate::top::wire::{Flood, Problem, State};

/// The mark and the state: `›● CRIT `.
const BEGINNING: usize = 8;
const AGE: usize = 4;
/// Columns of output that are worth a column.
const LEAST_OUTPUT: usize = 20;

/// How wide each column is; 0 if there is no room for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Columns {
    cluster: usize,
    host: usize,
    check: usize,
    age: usize,
    flags: usize,
    owner: usize,
    output: usize,
}

impl Columns {
    fn new(width: u16, rows: &Rows) -> Self {
        let is_narrow = width < NARROW;
        let mut left = usize::from(width).saturating_sub(BEGINNING);
        // with the blank behind it
        let mut take = |wanted: usize| {
            let taken = if wanted + 1 < left { wanted } else { 0 };
            left -= if taken > 0 { taken + 1 } else { 0 };
            taken
        };
        let age = take(AGE);
        let flags = take(if is_narrow { 1 } else { 3 });
        let (cluster, owner) = if is_narrow {
            (0, 0)
        } else {
            let cluster = if rows.has_several_clusters {
                rows.cluster_width.clamp(4, 8)
            } else {
                0
            };
            let owner = if rows.owner_width > 0 {
                rows.owner_width.clamp(5, 10)
            } else {
                0
            };
            (take(cluster), take(owner))
        };
        let output = if is_narrow { 0 } else { LEAST_OUTPUT + 1 };
        let names = left.saturating_sub(output + 1);
        let (host_width, check_width) = (rows.host_width.max(4), rows.check_width.max(9));
        let domain = short_domain(width, rows).map_or(0, |domain| domain.chars().count());
        let host_width = (host_width - domain.min(host_width)).max(4);
        // a long name takes what a short one leaves
        let host = host_width.min((names / 2).max(names.saturating_sub(check_width)));
        let check = check_width.min(names - host);
        Self {
            cluster,
            host,
            check,
            age,
            flags,
            owner,
            output: left.saturating_sub(host + check + 2),
        }
    }
}

/// What is left out of the names of hosts where there is little room.
fn short_domain(width: u16, rows: &Rows) -> Option<&str> {
    rows.domain.as_deref().filter(|_| width < NARROW)
}

fn short<'a>(model: &Model, host: &'a str) -> &'a str {
    short_domain(model.size.0, &model.rows)
        .and_then(|domain| host.strip_suffix(domain))
        .unwrap_or(host)
}

/// The cells of one line.
#[derive(Default)]
struct Cells<'a> {
    cluster: &'a str,
    host: &'a str,
    check: &'a str,
    age: String,
    flags: String,
    owner: &'a str,
    output: &'a str,
}

impl Cells<'_> {
    fn line(&self, columns: Columns) -> String {
        let mut line = String::new();
        for (text, width) in [
            (self.cluster, columns.cluster),
            (self.host, columns.host),
            (self.check, columns.check),
        ] {
            if width > 0 {
                line += &pad(text, width);
                line.push(' ');
            }
        }
        if columns.age > 0 {
            line += &format!("{:>1$} ", self.age, columns.age);
        }
        for (text, width) in [
            (self.flags.as_str(), columns.flags),
            (self.owner, columns.owner),
        ] {
            if width > 0 {
                line += &pad(text, width);
                line.push(' ');
            }
        }
        line + &fit(self.output, columns.output)
    }
}

pub(super) fn heads(frame: &mut Frame, area: Rect, model: &Model, look: Look) {
    let columns = Columns::new(area.width, &model.rows);
    let cells = Cells {
        cluster: "cluster",
        host: "host",
        check: "check",
        age: "for".to_owned(),
        flags: String::new(),
        owner: "owner",
        output: "output",
    };
    let text = format!("{:BEGINNING$}{}", "  state", cells.line(columns));
    let text = fit(text.trim_end(), area.width.into());
    frame.render_widget(Span::styled(text, look.quiet()), area);
}

pub(super) fn body(frame: &mut Frame, area: Rect, model: &Model, look: Look) {
    let lines = &model.rows.lines;
    if lines.is_empty() {
        let text = match (model.own_feed().as_of, model.rows.all) {
            (None, _) => "",
            // one that was not heard of yet, or whose news are old, may have something to say
            (_, 0) if model.is_all_known() => "✔ nothing is failing",
            (_, 0) => "nothing is known to fail, but not all clusters were heard of",
            _ => "nothing matches",
        };
        let text = fit(text, area.width.into());
        frame.render_widget(Span::styled(text, look.good()), area);
        return;
    }
    let columns = Columns::new(area.width, &model.rows);
    let seen = lines.iter().enumerate().skip(model.offset);
    for ((n, row), place) in seen.zip(area.rows()) {
        let is_selected = n == model.selected;
        let line = line(model, row, columns, n == model.offset, is_selected, look);
        frame.render_widget(line, place);
        if is_selected {
            frame.buffer_mut().set_style(place, look.selected());
        }
    }
}

fn line(
    model: &Model,
    row: &Row,
    columns: Columns,
    is_on_top: bool,
    is_selected: bool,
    look: Look,
) -> Line<'static> {
    let width = usize::from(model.size.0);
    let rest = width.saturating_sub(BEGINNING);
    let mark = |is_member: bool| match (is_selected, is_member) {
        (true, _) => "›",
        (false, true) => "│",
        (false, false) => " ",
    };
    match row {
        Row::Heading(text) => {
            let text = format!("── {text} {}", "─".repeat(width));
            Line::styled(text.chars().take(width).collect::<String>(), look.quiet())
        }
        Row::Cluster(name) => {
            let text = cluster(model, name);
            Line::styled(fit(&format!("{}✗ {text}", mark(false)), width), look.bad())
        }
        Row::Flood {
            flood,
            failing,
            is_unfolded,
        } => {
            let sign = if *is_unfolded { "▾" } else { "▸" };
            let text = fit(&flood_text(model, flood, *failing), rest);
            Line::from(vec![
                Span::styled(format!("{}{sign} FLOD ", mark(false)), look.bad()),
                Span::raw(text),
            ])
        }
        Row::Host {
            problems,
            is_member,
        } => host_line(model, problems, columns, mark(*is_member), look),
        Row::Check {
            problem,
            is_hard,
            is_first,
            is_member,
        } => {
            // the line on top of the screen always says whose it is
            let is_first = *is_first || is_on_top;
            let cells = Cells {
                cluster: if is_first { &problem.cluster } else { "" },
                host: if is_first {
                    short(model, &problem.host)
                } else {
                    ""
                },
                check: &problem.check,
                age: since(model, problem),
                flags: flags(problem, columns.flags),
                owner: &problem.owner,
                output: &problem.out,
            };
            let word = word(problem.state, *is_hard);
            let sign = if *is_hard { "●" } else { "○" };
            beginning(
                mark(*is_member),
                &format!("{sign} {word}"),
                look.state(problem.state, *is_hard),
                cells.line(columns),
            )
        }
    }
}

fn beginning(mark: &str, state: &str, style: Style, rest: String) -> Line<'static> {
    Line::from(vec![
        Span::raw(mark.to_owned()),
        Span::styled(format!("{state} "), style),
        Span::raw(rest),
    ])
}

/// A host that cannot be reached, whatever its checks are called.
fn host_line(
    model: &Model,
    problems: &[Arc<Problem>],
    columns: Columns,
    mark: &str,
    look: Look,
) -> Line<'static> {
    let Some(first) = problems.first() else {
        return Line::default();
    };
    let checks = match problems.len() {
        1 => "1 check".to_owned(),
        n => format!("{n} checks"),
    };
    let oldest = problems.iter().min_by_key(|problem| problem.since);
    let owned = problems.iter().find(|problem| !problem.owner.is_empty());
    let cells = Cells {
        cluster: &first.cluster,
        host: short(model, &first.host),
        check: &checks,
        age: oldest.map_or_else(String::new, |problem| since(model, problem)),
        flags: flags(first, columns.flags),
        owner: owned.map_or("", |problem| &problem.owner),
        output: &first.out,
    };
    let is_hard = problems.iter().any(|problem| model.is_hard(problem));
    let state = if is_hard { "⊘ DOWN" } else { "⊘ down" };
    beginning(
        mark,
        state,
        look.state(State::Critical, is_hard),
        cells.line(columns),
    )
}

/// Capitals for what is hard.
fn word(state: State, is_hard: bool) -> &'static str {
    match (state, is_hard) {
        (State::Critical, true) => "CRIT",
        (State::Critical, false) => "crit",
        (State::Warning, true) => "WARN",
        (State::Warning, false) => "warn",
        (State::Unknown, true) => "UNKN",
        (State::Unknown, false) => "unkn",
        (State::Failing, true) => "FAIL",
        (State::Failing, false) => "fail",
    }
}

fn since(model: &Model, problem: &Problem) -> String {
    problem
        .since
        .map_or_else(|| "-".to_owned(), |since| age(model.now.unix - since))
}

/// What keeps it quiet, the most telling first.
fn flags(problem: &Problem, room: usize) -> String {
    let flags = [
        // where there is a column for the owner, it says so
        ('@', room == 1 && !problem.owner.is_empty()),
        ('p', problem.is_suspended),
        ('m', problem.is_maintained),
        ('f', problem.is_flapping),
        ('~', problem.is_stale),
    ];
    let flags = flags.iter().filter(|(_, is)| *is);
    flags.take(room).map(|(flag, _)| *flag).collect()
}

fn cluster(model: &Model, name: &str) -> String {
    let Some(feed) = model.feeds.get(&Source::Cluster(name.to_owned())) else {
        return name.to_owned();
    };
    let age = match feed.as_of {
        Some(as_of) => format!("data from {} ago", age(model.now.unix - as_of)),
        None => "no data yet".to_owned(),
    };
    let why = feed.trouble.as_ref();
    // in the server's words, which may begin with what this line says already
    let begins = [
        format!("cluster {name} cannot be reached: "),
        format!("nothing is known of cluster {name} yet: "),
    ];
    let why = why.map_or_else(String::new, |trouble| {
        let words = trouble.words.as_str();
        let rest = begins.iter().find_map(|begin| words.strip_prefix(begin));
        format!(": {}", rest.unwrap_or(words))
    });
    format!("cluster {name} cannot be reached, {age}{why}")
}

fn flood_text(model: &Model, flood: &Flood, failing: usize) -> String {
    let of = if flood.host.is_empty() {
        "of several hosts"
    } else {
        short(model, &flood.host)
    };
    let age = flood.opened.map_or_else(String::new, |opened| {
        format!(", {}", age(model.now.unix - opened))
    });
    format!("{of}: {} alerts, {failing} failing now{age}", flood.members)
}

/// What is selected, with more of its output than its line has room for.
pub(super) fn preview(frame: &mut Frame, area: Rect, model: &Model, look: Look) {
    let Some(row) = model.rows.lines.get(model.selected) else {
        return;
    };
    let text = match row {
        Row::Heading(_) => return,
        Row::Cluster(name) => cluster(model, name),
        Row::Flood { flood, failing, .. } => {
            format!("flood {}", flood_text(model, flood, *failing))
        }
        Row::Host { problems, .. } => {
            let names: Vec<_> = problems.iter().map(|problem| &*problem.check).collect();
            let out = problems.first().map_or("", |problem| &problem.out);
            format!("{out} — {}", names.join(" "))
        }
        Row::Check { problem, .. } => {
            let cluster = if problem.cluster == model.here {
                String::new()
            } else {
                format!("{}:", problem.cluster)
            };
            let owner = if problem.owner.is_empty() {
                String::new()
            } else {
                format!(" @{}", problem.owner)
            };
            let (host, check) = (&problem.host, &problem.check);
            format!("{cluster}{host}/{check}{owner}: {}", problem.out)
        }
    };
    let mut lines = wrap(&text, area.width.into());
    if lines.len() > area.height.into() {
        lines.truncate(area.height.into());
        if let Some(last) = lines.last_mut() {
            *last = fit(&format!("{last}…"), area.width.into());
        }
    }
    for (line, row) in lines.into_iter().zip(area.rows()) {
        frame.render_widget(Span::styled(line, look.quiet()), row);
    }
}
