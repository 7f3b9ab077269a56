//! A line of text that is being typed.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Characters; the server takes 10,000 for a note, and no person types more here.
const LONGEST: usize = 1000;

/// One line that is being typed. What is typed goes to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) text: String,
}

impl Field {
    pub(super) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
        }
    }

    /// Takes a key; false if it means nothing to a line of text.
    pub(super) fn take(&mut self, key: KeyEvent) -> bool {
        let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('u') if has_control => self.text.clear(),
            KeyCode::Char('w') if has_control => {
                let kept = self.text.trim_end();
                let end = kept.rfind(char::is_whitespace).map_or(0, |blank| {
                    kept[blank..].chars().next().map_or(0, char::len_utf8) + blank
                });
                self.text.truncate(end);
            }
            // what terminals send for Backspace, some of them
            KeyCode::Char('h') if has_control => drop(self.text.pop()),
            KeyCode::Backspace => drop(self.text.pop()),
            KeyCode::Char(c) if !has_control && !key.modifiers.contains(KeyModifiers::ALT) => {
                self.push(c);
            }
            _ => return false,
        }
        true
    }

    /// Takes what was pasted; lines become one.
    pub(super) fn paste(&mut self, text: &str) {
        for c in text.trim().chars() {
            self.push(if c.is_control() { ' ' } else { c });
        }
    }

    fn push(&mut self, c: char) {
        if self.text.chars().count() < LONGEST {
            self.text.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_typed() {
        let mut field = Field::default();
        let key = |code, modifiers| KeyEvent::new(code, modifiers);
        for c in "disk is fül".chars() {
            assert!(field.take(key(KeyCode::Char(c), KeyModifiers::NONE)));
        }
        field.take(key(KeyCode::Char('w'), KeyModifiers::CONTROL));
        assert_eq!(field.text, "disk is ");
        field.take(key(KeyCode::Char('w'), KeyModifiers::CONTROL));
        assert_eq!(field.text, "disk ");
        field.paste(" two\nlines\u{1b} ");
        assert_eq!(field.text, "disk two lines ");
        field.take(key(KeyCode::Backspace, KeyModifiers::NONE));
        assert_eq!(field.text, "disk two lines");
        field.take(key(KeyCode::Char('u'), KeyModifiers::CONTROL));
        assert_eq!(field.text, "");
        assert!(!field.take(key(KeyCode::Up, KeyModifiers::NONE)));
    }
}
