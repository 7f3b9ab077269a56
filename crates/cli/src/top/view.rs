//! The screen, drawn from the model. Nothing here changes anything, and only what is to be seen is looked at.

mod details;
mod dialog;
mod help;
mod list;
mod look;
mod text;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

pub(super) use look::Look;

use super::model::{Dialog, Model, Page, Tone};
use text::{age, clock, fit};

/// Lines that a terminal must have for the names of the columns, and for the output of what is selected.
const ROOM_FOR_HEADS: u16 = 8;
const ROOM_FOR_PREVIEW: u16 = 12;
/// Columns below which output does not fit beside names.
const NARROW: u16 = 60;
/// The turning sign of something that is waited for.
const SPINNER: [&str; 4] = ["⠋", "⠙", "⠴", "⠦"];

/// The screen from top to bottom.
#[derive(Debug, Clone, Copy)]
struct Parts {
    header: Rect,
    banner: Rect,
    heads: Rect,
    body: Rect,
    preview: Rect,
    footer: Rect,
}

fn parts(model: &Model) -> Parts {
    let (width, height) = model.size;
    let is_list = matches!(model.page, Page::List);
    let mut left = height;
    // what matters most is taken first: one line of the list itself comes before everything else
    let mut take = |wanted: u16| {
        let taken = wanted.min(left.saturating_sub(1));
        left -= taken;
        taken
    };
    let header = take(1);
    let footer = take(1);
    let banner = take(u16::from(banner(model).is_some()));
    let heads = take(u16::from(is_list && height >= ROOM_FOR_HEADS));
    let lines = if width < NARROW { 3 } else { 2 };
    let preview = take(if is_list && height >= ROOM_FOR_PREVIEW {
        lines
    } else {
        0
    });
    let mut y = 0;
    let mut next = |height: u16| {
        let area = Rect::new(0, y, width, height);
        y += height;
        area
    };
    Parts {
        header: next(header),
        banner: next(banner),
        heads: next(heads),
        body: next(left),
        preview: next(preview),
        footer: next(footer),
    }
}

/// Lines of the list that are to be seen.
pub(super) fn list_height(model: &Model) -> usize {
    parts(model).body.height.into()
}

/// Lines of the page that are to be seen.
pub(super) fn page_height(model: &Model) -> usize {
    list_height(model)
}

/// Lines of the details, seen or not.
pub(super) fn details_length(model: &Model) -> usize {
    match &model.page {
        Page::Details(details) => details::lines(model, details, Look::PLAIN).len(),
        _ => 0,
    }
}

/// Lines of the help sheet, seen or not.
pub(super) fn help_length(model: &Model) -> usize {
    help::lines(model.size.0, Look::PLAIN).len()
}

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame, model: &Model, look: Look) {
    let parts = parts(model);
    let screen = frame.area();
    // between a resize and the event that tells of it the two differ
    let within = |area: Rect| area.intersection(screen);
    header(frame, within(parts.header), model, look);
    if let Some(text) = banner(model) {
        let area = within(parts.banner);
        let text = fit(&text, area.width.into());
        frame.render_widget(Span::styled(text, look.bad()), area);
    }
    let body = within(parts.body);
    match &model.page {
        Page::List => {
            list::heads(frame, within(parts.heads), model, look);
            list::body(frame, body, model, look);
            list::preview(frame, within(parts.preview), model, look);
        }
        Page::Details(details) => {
            let lines = details::lines(model, details, look);
            scrolled(frame, body, lines, details.scroll);
        }
        Page::Help(_, scroll) => {
            scrolled(frame, body, help::lines(model.size.0, look), *scroll);
        }
    }
    footer(frame, within(parts.footer), model, look);
    if let Some(dialog) = &model.dialog {
        dialog::draw(frame, screen, model, dialog, look);
    }
}

fn scrolled(frame: &mut Frame, area: Rect, lines: Vec<Line<'static>>, scroll: usize) {
    let height = usize::from(area.height);
    let first = scroll.min(lines.len().saturating_sub(height));
    for (line, row) in lines.into_iter().skip(first).zip(area.rows()) {
        frame.render_widget(line, row);
    }
}

/// The server does not answer: since when, and why.
fn banner(model: &Model) -> Option<String> {
    let feed = model.own_feed();
    let why = feed
        .trouble
        .as_ref()
        .map_or("it takes very long", |trouble| &trouble.words);
    match feed.as_of {
        Some(as_of) if model.is_stale(feed) => Some(format!(
            "✗ no answer since {} ({}): {why}",
            clock(as_of),
            age(model.now.unix - as_of),
        )),
        None if feed.trouble.is_some() => Some(format!("✗ no answer yet, trying again: {why}")),
        _ => None,
    }
}

fn header(frame: &mut Frame, area: Rect, model: &Model, look: Look) {
    let rows = &model.rows;
    let is_narrow = area.width < NARROW;
    let mut text = String::from(if is_narrow { "" } else { "stalker top  " });
    if model.own_feed().as_of.is_none() {
        text += &format!("asking {} …", model.url);
    } else if is_narrow {
        text += &format!("{} failing, {} hard", rows.all, rows.hard);
    } else {
        text += &format!("{}: {} failing, {} hard", model.here, rows.all, rows.hard);
        if let Some(checks) = model.checks {
            text += &format!(", of {checks} checks");
        }
    }
    if rows.matching < rows.all {
        text += &format!("; {} match", rows.matching);
    }
    let sort = format!("by {}", model.sort.word());
    let spinner = if model.is_busy() {
        // a turn takes as long as four ticks
        let n = model.now.elapsed.as_millis() / 250 % SPINNER.len() as u128;
        SPINNER[n as usize]
    } else {
        " "
    };
    let right = format!("{sort} {spinner}");
    let width = usize::from(area.width);
    let left = text::pad(&text, width.saturating_sub(right.chars().count() + 1));
    let line = fit(&format!("{left} {right}"), width);
    frame.render_widget(Span::styled(line, look.title()), area);
}

fn footer(frame: &mut Frame, area: Rect, model: &Model, look: Look) {
    let width = usize::from(area.width);
    if let Some(Dialog::Filter { .. }) = &model.dialog {
        return;
    }
    if let Some(said) = &model.said {
        let (mark, style) = match said.tone {
            Tone::Underway => ("…", look.plain()),
            Tone::Good => ("✔", look.good()),
            Tone::Bad => ("✘", look.bad()),
        };
        let text = fit(&format!("{mark} {}", said.text), width);
        frame.render_widget(Span::styled(text, style), area);
        return;
    }
    let filter = &model.filter.text;
    let keys = match model.page {
        Page::Help(..) => "j k scroll  q back".to_owned(),
        Page::Details(_) => hints(&help::IN_DETAILS, width),
        Page::List if !filter.is_empty() => format!("/{filter}  (Esc: all)"),
        Page::List => hints(&help::IN_LIST, width),
    };
    frame.render_widget(Span::styled(fit(&keys, width), look.quiet()), area);
}

/// As many of them as there is room for; the first are the most important, the last is always there.
fn hints(hints: &[&str], width: usize) -> String {
    let Some((last, hints)) = hints.split_last() else {
        return String::new();
    };
    let mut text = String::new();
    for hint in hints {
        if text.chars().count() + hint.chars().count() + 2 + last.chars().count() <= width {
            text += hint;
            text += "  ";
        }
    }
    text + last
}
