//! Colours, where they are wanted. Each only repeats what a sign or a word says.

use ratatui::style::{Color, Modifier, Style};

use crate::top::wire::State;

/// Whether there are colours.
#[derive(Debug, Clone, Copy)]
pub(in crate::top) struct Look {
    pub(in crate::top) is_coloured: bool,
}

impl Look {
    pub(super) const PLAIN: Self = Self { is_coloured: false };

    fn colour(self, style: Style, colour: Color) -> Style {
        if self.is_coloured {
            style.fg(colour)
        } else {
            style
        }
    }

    pub(super) fn plain(self) -> Style {
        Style::new()
    }

    pub(super) fn bad(self) -> Style {
        self.colour(Style::new().add_modifier(Modifier::BOLD), Color::Red)
    }

    pub(super) fn good(self) -> Style {
        self.colour(Style::new(), Color::Green)
    }

    pub(super) fn warning(self) -> Style {
        self.colour(Style::new(), Color::Yellow)
    }

    pub(super) fn quiet(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(super) fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub(super) fn state(self, state: State, is_hard: bool) -> Style {
        let weight = if is_hard {
            Modifier::BOLD
        } else {
            Modifier::empty()
        };
        let style = Style::new().add_modifier(weight);
        match state {
            State::Critical | State::Failing => self.colour(style, Color::Red),
            State::Unknown => self.colour(style, Color::Magenta),
            State::Warning => self.colour(style, Color::Yellow),
        }
    }
}
