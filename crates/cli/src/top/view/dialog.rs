//! What is asked before something is done: a panel at the bottom, above nothing that matters.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::Span;
use ratatui::widgets::Clear;

use super::Look;
use super::text::{fit, tail, width, wrap};
use crate::top::model::{Dialog, Model};

/// A line of a panel.
enum Part<'a> {
    Text(String, Style),
    /// A name, and what is typed; whether it is being typed now.
    Field(&'a str, &'a str, bool),
}

pub(super) fn draw(frame: &mut Frame, screen: Rect, model: &Model, dialog: &Dialog, look: Look) {
    let columns = usize::from(screen.width);
    let (title, parts) = match dialog {
        Dialog::Filter { .. } => (None, vec![Part::Field("/", &model.filter.text, true)]),
        Dialog::Confirm { question, .. } => {
            let question = wrap(question, columns).into_iter();
            let mut parts: Vec<_> = question.map(|line| Part::Text(line, look.bad())).collect();
            parts.push(Part::Text(
                "y removes it for good; any other key: no".to_owned(),
                look.plain(),
            ));
            (Some("remove".to_owned()), parts)
        }
        Dialog::Note { host, text } => (
            Some(format!("note about {host}")),
            vec![
                Part::Field("note: ", &text.text, true),
                Part::Text("Enter writes it, Esc does not".to_owned(), look.quiet()),
            ],
        ),
        Dialog::Maintenance(form) => {
            let of = match &form.check {
                Some(check) => format!("maintenance of {}/{check}", form.host),
                None => format!("maintenance of all of {}", form.host),
            };
            let hint = match &form.complaint {
                Some(complaint) => Part::Text(format!("✘ {complaint}"), look.bad()),
                None => Part::Text(
                    "Enter goes on, Tab switches, Esc leaves".to_owned(),
                    look.quiet(),
                ),
            };
            (
                Some(of),
                vec![
                    Part::Field("for: ", &form.lasts.text, !form.is_in_reason),
                    Part::Field("why: ", &form.reason.text, form.is_in_reason),
                    hint,
                ],
            )
        }
    };
    let wanted = u16::try_from(parts.len()).unwrap_or(u16::MAX) + u16::from(title.is_some());
    let height = wanted.min(screen.height);
    let area = Rect::new(0, screen.height - height, screen.width, height);
    frame.render_widget(Clear, area);
    let mut rows = area.rows();
    // on a very small screen the title goes first
    if let (Some(title), true) = (title, wanted == height) {
        let rule = fit(&format!("── {title} "), columns);
        let rest = columns.saturating_sub(width(&rule));
        if let Some(row) = rows.next() {
            let rule = Span::styled(format!("{rule}{}", "─".repeat(rest)), look.title());
            frame.render_widget(rule, row);
        }
    }
    for (part, row) in parts.iter().zip(rows) {
        match part {
            Part::Text(text, style) => {
                frame.render_widget(Span::styled(fit(text, columns), *style), row);
            }
            Part::Field(name, text, is_active) => {
                let name = fit(name, columns);
                // one column is the cursor's
                let room = columns.saturating_sub(width(&name) + 1);
                let line = format!("{name}{}", tail(text, room));
                if *is_active {
                    let x = u16::try_from(width(&line)).unwrap_or(u16::MAX);
                    let x = x.min(row.right().saturating_sub(1));
                    frame.set_cursor_position(Position::new(x, row.y));
                }
                frame.render_widget(Span::raw(line), row);
            }
        }
    }
}
