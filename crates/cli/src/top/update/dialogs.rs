//! What is typed into dialogs.

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use crate::times;
use crate::top::actions;
use crate::top::input::Field;
use crate::top::model::{Dialog, MaintenanceForm, Model, Request, Tone};

impl Model {
    pub(super) fn dialog_key(&mut self, key: KeyEvent) -> Vec<Request> {
        let Some(dialog) = self.dialog.take() else {
            return Vec::new();
        };
        match dialog {
            Dialog::Filter { before } => {
                self.dialog = self.filter_key(key, before);
                Vec::new()
            }
            Dialog::Confirm { act, .. } => {
                if matches!(key.code, KeyCode::Char('y' | 'Y')) {
                    return self.start(act);
                }
                self.say(Tone::Good, "nothing was removed");
                Vec::new()
            }
            Dialog::Note { host, text } => self.note_key(key, host, text),
            Dialog::Maintenance(form) => self.maintenance_key(key, form),
        }
    }

    /// The list follows while the filter is typed, and can be walked through.
    fn filter_key(&mut self, key: KeyEvent, before: String) -> Option<Dialog> {
        match key.code {
            KeyCode::Enter => return None,
            KeyCode::Esc => {
                self.filter = Field::new(&before);
                self.rebuild();
                return None;
            }
            KeyCode::Down => self.go_down(1),
            KeyCode::Up => self.go_up(1),
            _ => {
                if self.filter.take(key) {
                    self.rebuild();
                }
            }
        }
        Some(Dialog::Filter { before })
    }

    fn note_key(&mut self, key: KeyEvent, host: String, mut text: Field) -> Vec<Request> {
        match key.code {
            KeyCode::Esc => return Vec::new(),
            KeyCode::Enter if !text.text.trim().is_empty() => {
                let act = actions::note(&self.user, &host, text.text.trim());
                return self.start(act);
            }
            _ => drop(text.take(key)),
        }
        self.dialog = Some(Dialog::Note { host, text });
        Vec::new()
    }

    fn maintenance_key(&mut self, key: KeyEvent, mut form: MaintenanceForm) -> Vec<Request> {
        match key.code {
            KeyCode::Esc => return Vec::new(),
            KeyCode::Tab | KeyCode::BackTab | KeyCode::Up | KeyCode::Down => {
                form.is_in_reason = !form.is_in_reason;
            }
            KeyCode::Enter => {
                let reason = form.reason.text.trim().to_owned();
                match times::lasting(form.lasts.text.trim()) {
                    Err(why) => {
                        form.complaint = Some(format!("how long: {why}"));
                        form.is_in_reason = false;
                    }
                    Ok(_) if !form.is_in_reason => {
                        form.complaint = None;
                        form.is_in_reason = true;
                    }
                    Ok(_) if reason.is_empty() => {
                        form.complaint = Some("who is not told will want to know why".to_owned());
                    }
                    Ok(lasts) => {
                        let lasts = lasts.num_seconds();
                        let act =
                            actions::maintain(&form.host, form.check.as_deref(), lasts, &reason);
                        return self.start(act);
                    }
                }
            }
            _ => {
                let field = if form.is_in_reason {
                    &mut form.reason
                } else {
                    &mut form.lasts
                };
                if field.take(key) {
                    form.complaint = None;
                }
            }
        }
        self.dialog = Some(Dialog::Maintenance(form));
        Vec::new()
    }

    /// What is pasted is text, never keys: a clipboard must not remove hosts.
    pub(super) fn paste(&mut self, text: &str) {
        match &mut self.dialog {
            Some(Dialog::Filter { .. }) => {
                self.filter.paste(text);
                self.rebuild();
            }
            Some(Dialog::Note { text: field, .. }) => field.paste(text),
            Some(Dialog::Maintenance(form)) => {
                let field = if form.is_in_reason {
                    &mut form.reason
                } else {
                    &mut form.lasts
                };
                field.paste(text);
            }
            Some(Dialog::Confirm { .. }) | None => {}
        }
    }
}
