//! Everything about one check.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::Look;
use super::text::{age, day_and_clock, fit, wrap};
use crate::top::model::{Details, Model, Part, Topic};
use crate::top::wire::{Entry, Problem};

/// Columns from which an entry's words stand beside its time.
const WIDE: usize = 60;

pub(super) fn lines(model: &Model, details: &Details, look: Look) -> Vec<Line<'static>> {
    let width = usize::from(model.size.0);
    let problem = &details.problem;
    let mut page = Page {
        lines: Vec::new(),
        width,
        look,
    };
    let cluster = if problem.cluster == model.here {
        String::new()
    } else {
        format!(" on {}", problem.cluster)
    };
    page.text(
        &format!("{}/{}{cluster}", problem.host, problem.check),
        look.title(),
    );
    condition(&mut page, model, details);

    page.heading("output");
    page.text(output(details), look.plain());

    let others = model.problems_of(&problem.cluster, &problem.host);
    let others: Vec<_> = others
        .iter()
        .filter(|other| other.id != problem.id)
        .map(|other| format!("{} ({})", other.check, other.state.word()))
        .collect();
    if !others.is_empty() {
        page.heading("also failing on this host");
        page.text(&others.join(", "), look.plain());
    }
    for (topic, title, nothing) in [
        (Topic::Story, "who was told, and why", "nothing yet"),
        (Topic::Notes, "notes about the host", "none"),
        (Topic::History, "history", "none"),
    ] {
        page.heading(title);
        page.part(details.parts.get(&topic), nothing);
    }
    page.lines
}

/// How it is, since when, and what keeps it quiet.
fn condition(page: &mut Page, model: &Model, details: &Details) {
    let (problem, look) = (&details.problem, page.look);
    let now = model.now.unix;
    let is_hard = model.is_hard(problem);
    if details.is_failing {
        let sign = if is_hard { "●" } else { "○" };
        let hard = if is_hard { "hard" } else { "soft" };
        let state = if problem.is_unreachable {
            "host unreachable"
        } else {
            problem.state.word()
        };
        let mut text = format!("{sign} {state}, {hard}");
        if let Some(since) = problem.since {
            text += &format!(", for {}", age(now - since));
        }
        if let Some(fails) = problem.fails {
            let s = if fails == 1 { "" } else { "s" };
            text += &format!(", {fails} failing run{s}");
        }
        page.text(&text, look.state(problem.state, is_hard));
    } else {
        page.text("✔ no longer failing; as it was:", look.good());
    }
    let owner = match problem.owner.as_str() {
        "" => "owner: nobody".to_owned(),
        owner => format!("owner: {owner}"),
    };
    let last = problem
        .last
        .map_or_else(String::new, |last| format!("; ran {} ago", age(now - last)));
    let next = problem
        .next
        .filter(|_| !problem.is_suspended)
        .map_or_else(String::new, |next| match next - now {
            ..=0 => ", due now".to_owned(),
            wait => format!(", next in {}", age(wait)),
        });
    page.text(&format!("{owner}{last}{next}"), look.plain());
    let quiet = quiet(model, problem);
    if !quiet.is_empty() {
        page.text(&quiet.join("; "), look.warning());
    }
}

fn quiet(model: &Model, problem: &Problem) -> Vec<String> {
    let mut quiet = Vec::new();
    let mut say = |is: bool, text: &str| {
        if is {
            quiet.push(text.to_owned());
        }
    };
    say(problem.is_suspended, "p suspended: does not run");
    say(problem.is_maintained, "m in maintenance: nobody is told");
    say(problem.is_flapping, "f flapping");
    say(problem.is_stale, "~ overdue: what is shown is old");
    let suppression = model
        .alert_of(problem)
        .and_then(|alert| alert.suppression.as_deref());
    if let Some(why) = suppression {
        quiet.push(format!("not told: {why}"));
    }
    quiet
}

/// Lists hold the first line; if nothing has changed since, history has the rest.
fn output(details: &Details) -> &str {
    let short = &details.problem.out;
    match details.parts.get(&Topic::History) {
        Some(Part::Here(history)) => history
            .first()
            .filter(|newest| newest.text.starts_with(short.as_str()))
            .map_or(short, |newest| &newest.text),
        _ => short,
    }
}

/// A page that grows downwards.
struct Page {
    lines: Vec<Line<'static>>,
    width: usize,
    look: Look,
}

impl Page {
    fn text(&mut self, text: &str, style: Style) {
        let lines = wrap(text, self.width);
        self.lines
            .extend(lines.into_iter().map(|line| Line::styled(line, style)));
    }

    fn heading(&mut self, title: &str) {
        let rule = format!("── {title} {}", "─".repeat(self.width));
        let rule: String = rule.chars().take(self.width).collect();
        self.lines.push(Line::styled(rule, self.look.quiet()));
    }

    fn part(&mut self, part: Option<&Part>, nothing: &str) {
        match part {
            None | Some(Part::Asked) => self.text("…", self.look.quiet()),
            Some(Part::None(why)) => self.text(why, self.look.quiet()),
            Some(Part::Failed(why)) => self.text(&format!("✘ {why}"), self.look.bad()),
            Some(Part::Here(entries)) if entries.is_empty() => {
                self.text(nothing, self.look.quiet());
            }
            Some(Part::Here(entries)) => {
                let longest = entries.iter().map(|entry| entry.what.chars().count()).max();
                for entry in entries {
                    self.entry(entry, longest.unwrap_or(0).min(16));
                }
            }
        }
    }

    fn entry(&mut self, entry: &Entry, what_width: usize) {
        let time = day_and_clock(entry.time);
        let first_line = entry.text.lines().next().unwrap_or_default();
        if self.width < WIDE {
            let head = fit(&format!("{time} {}", entry.what), self.width);
            self.lines.push(Line::styled(head, self.look.title()));
            for line in wrap(first_line, self.width.saturating_sub(2)) {
                self.lines.push(Line::raw(format!("  {line}")));
            }
            return;
        }
        let what = super::text::pad(&entry.what, what_width);
        let indent = time.chars().count() + what_width + 3;
        let mut texts = wrap(first_line, self.width.saturating_sub(indent)).into_iter();
        self.lines.push(Line::from(vec![
            Span::styled(format!("{time} "), self.look.quiet()),
            Span::styled(format!("{what}  "), self.look.title()),
            Span::raw(texts.next().unwrap_or_default()),
        ]));
        for text in texts {
            self.lines.push(Line::raw(format!("{:indent$}{text}", "")));
        }
    }
}
