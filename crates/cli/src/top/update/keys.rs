//! What keys mean. `j k g G ctrl-d ctrl-u r q Enter` are the original's.

use std::sync::Arc;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::top::actions::{self, Deed};
use crate::top::input::Field;
use crate::top::model::{Act, Dialog, MaintenanceForm, Model, Page, Request, Source, Tone};
use crate::top::rows::Row;
use crate::top::view;
use crate::top::wire::Problem;

/// What an action is done to.
enum Target {
    Check(Arc<Problem>),
    /// Cluster and name.
    Host(String, String),
}

impl Target {
    fn cluster(&self) -> &str {
        match self {
            Self::Check(problem) => &problem.cluster,
            Self::Host(cluster, _) => cluster,
        }
    }

    fn host(&self) -> &str {
        match self {
            Self::Check(problem) => &problem.host,
            Self::Host(_, host) => host,
        }
    }

    fn whole_host(&self) -> Self {
        Self::Host(self.cluster().to_owned(), self.host().to_owned())
    }
}

impl Model {
    pub(super) fn key(&mut self, key: KeyEvent) -> Vec<Request> {
        if key.kind == KeyEventKind::Release {
            return Vec::new();
        }
        let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
        // whoever does something else stays
        let was_leaving = std::mem::take(&mut self.is_leaving);
        match key.code {
            KeyCode::Char('c') if has_control => {
                self.leave(was_leaving);
                return Vec::new();
            }
            KeyCode::Char('l') if has_control => return vec![Request::Redraw],
            _ => {}
        }
        if self.dialog.is_some() {
            return self.dialog_key(key);
        }
        match self.page {
            Page::List => self.list_key(key, was_leaving),
            Page::Details(_) => self.details_key(key),
            Page::Help(..) => {
                self.help_key(key);
                Vec::new()
            }
        }
    }

    fn list_key(&mut self, key: KeyEvent, was_leaving: bool) -> Vec<Request> {
        let page = view::list_height(self).saturating_sub(1).max(1);
        let last = self.rows.lines.len().saturating_sub(1);
        let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('d') if has_control => self.go_down(page),
            KeyCode::Char('u') if has_control => self.go_up(page),
            KeyCode::PageDown => self.go_down(page),
            KeyCode::PageUp => self.go_up(page),
            KeyCode::Char('j') | KeyCode::Down | KeyCode::Tab => self.go_down(1),
            KeyCode::Char('k') | KeyCode::Up | KeyCode::BackTab => self.go_up(1),
            KeyCode::Char('g') | KeyCode::Home => self.go_up(last),
            KeyCode::Char('G') | KeyCode::End => self.go_down(last),
            KeyCode::Char('q') => self.leave(was_leaving),
            KeyCode::Char('r') => self.refresh_all(),
            KeyCode::Char('s') => {
                self.sort = self.sort.next();
                self.rebuild();
            }
            KeyCode::Char('/') => {
                self.dialog = Some(Dialog::Filter {
                    before: self.filter.text.clone(),
                });
            }
            KeyCode::Char('?') => self.open_help(),
            KeyCode::Char(' ') => self.fold(),
            KeyCode::Enter => return self.enter(),
            KeyCode::Esc if self.said.is_some() => self.said = None,
            KeyCode::Esc => {
                self.filter = Field::default();
                self.rebuild();
            }
            KeyCode::Char(c) if !has_control => return self.action_key(c),
            _ => {}
        }
        Vec::new()
    }

    /// Ends it; while something is being done, only whoever says so twice: what has not begun would not be done.
    fn leave(&mut self, was_leaving: bool) {
        if self.acts == 0 || was_leaving {
            self.is_over = true;
            return;
        }
        self.is_leaving = true;
        self.say(
            Tone::Underway,
            "not everything is done yet; the same key again leaves all the same",
        );
    }

    /// Opens what is selected.
    fn enter(&mut self) -> Vec<Request> {
        match self.rows.lines.get(self.selected) {
            Some(Row::Flood { .. }) => {
                self.fold();
                Vec::new()
            }
            Some(Row::Cluster(name)) => {
                let source = Source::Cluster(name.clone());
                let trouble = self
                    .feeds
                    .get(&source)
                    .and_then(|feed| feed.trouble.clone());
                let words = trouble.map_or_else(
                    || "its data is old: our server cannot reach it".to_owned(),
                    |trouble| trouble.words,
                );
                let text = format!("{name}: {words}");
                self.say(Tone::Bad, text);
                Vec::new()
            }
            Some(row) => match row.problem().cloned() {
                Some(problem) => self.open_details(problem),
                None => Vec::new(),
            },
            None => Vec::new(),
        }
    }

    /// Folds or unfolds the flood that is selected.
    fn fold(&mut self) {
        let Some(Row::Flood { flood, .. }) = self.rows.lines.get(self.selected) else {
            return;
        };
        let id = flood.id.clone();
        if !self.unfolded.remove(&id) {
            self.unfolded.insert(id);
        }
        self.rebuild();
    }

    pub(super) fn go_down(&mut self, by: usize) {
        let lines = &self.rows.lines;
        let last = lines.len().saturating_sub(1);
        let wanted = (self.selected + by).min(last);
        let can = |n: &usize| lines[*n].key().is_some();
        let below = (wanted..lines.len()).find(can);
        let above = || (self.selected..wanted).rev().find(can);
        self.selected = below.or_else(above).unwrap_or(self.selected);
    }

    pub(super) fn go_up(&mut self, by: usize) {
        let lines = &self.rows.lines;
        let wanted = self.selected.saturating_sub(by);
        let can = |n: &usize| lines[*n].key().is_some();
        let above = (0..lines.len().min(wanted + 1)).rev().find(can);
        let below = || (wanted..lines.len()).find(can);
        self.selected = above.or_else(below).unwrap_or(0);
    }

    fn details_key(&mut self, key: KeyEvent) -> Vec<Request> {
        let page = view::page_height(self).saturating_sub(1).max(1);
        let longest = view::details_length(self).saturating_sub(view::page_height(self));
        let Page::Details(details) = &mut self.page else {
            return Vec::new();
        };
        let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match scrolled(key, details.scroll, page, longest) {
            Some(scroll) => details.scroll = scroll,
            None => match key.code {
                KeyCode::Char('q') | KeyCode::Esc | KeyCode::Enter | KeyCode::Left => {
                    self.page = Page::List;
                }
                KeyCode::Char('?') => self.open_help(),
                KeyCode::Char('r') => {
                    self.refresh_all();
                    return self.look();
                }
                KeyCode::Char(c) if !has_control => return self.action_key(c),
                _ => {}
            },
        }
        Vec::new()
    }

    fn open_help(&mut self) {
        let page = std::mem::replace(&mut self.page, Page::List);
        self.page = Page::Help(Box::new(page), 0);
    }

    fn help_key(&mut self, key: KeyEvent) {
        let height = view::page_height(self);
        let longest = view::help_length(self).saturating_sub(height);
        let Page::Help(behind, scroll) = &mut self.page else {
            return;
        };
        match scrolled(key, *scroll, height.max(1), longest) {
            Some(new) => *scroll = new,
            None => {
                if matches!(
                    key.code,
                    KeyCode::Char('q' | '?') | KeyCode::Esc | KeyCode::Enter
                ) {
                    self.page = std::mem::replace(behind, Page::List);
                }
            }
        }
    }

    /// What the selected line, or the open details, are about.
    fn target(&mut self) -> Option<Target> {
        if let Page::Details(details) = &self.page {
            return Some(Target::Check(Arc::clone(&details.problem)));
        }
        match self.rows.lines.get(self.selected) {
            Some(Row::Check { problem, .. }) => Some(Target::Check(Arc::clone(problem))),
            Some(Row::Host { problems, .. }) => problems
                .first()
                .map(|first| Target::Host(first.cluster.clone(), first.host.clone())),
            Some(Row::Flood { .. }) => {
                self.say(
                    Tone::Bad,
                    "this stands for many: unfold it (Enter), and choose one",
                );
                None
            }
            _ => None,
        }
    }

    /// A small letter acts on the check, a capital on all of its host.
    fn action_key(&mut self, c: char) -> Vec<Request> {
        if !"odcpumnxODCPUMNX".contains(c) {
            return Vec::new();
        }
        let Some(target) = self.target() else {
            return Vec::new();
        };
        let target = if c.is_uppercase() {
            target.whole_host()
        } else {
            target
        };
        match c.to_ascii_lowercase() {
            'o' => self.perform(Deed::Own, &target),
            'd' => self.perform(Deed::Disown, &target),
            'c' => self.perform(Deed::Recheck, &target),
            'p' => self.perform(Deed::Suspend, &target),
            'u' => self.perform(Deed::Resume, &target),
            'm' => self.ask_for_maintenance(&target),
            'n' => self.ask_for_note(&target),
            _ => self.ask_for_removal(c, &target),
        }
    }

    fn perform(&mut self, deed: Deed, target: &Target) -> Vec<Request> {
        if deed == Deed::Own && self.user.is_empty() {
            self.say(
                Tone::Bad,
                "nobody knows who you are: start with --user NAME",
            );
            return Vec::new();
        }
        let (subject, problems) = match target {
            Target::Check(problem) => (
                actions::subject(&self.here, problem),
                vec![Arc::clone(problem)],
            ),
            Target::Host(cluster, host) if deed.is_of_all() => {
                let act = deed.act_on_host(&self.here, &self.user, cluster, host);
                return self.start(act);
            }
            Target::Host(cluster, host) => (
                actions::host_subject(&self.here, cluster, host),
                self.problems_of(cluster, host),
            ),
        };
        if problems.is_empty() {
            self.say(
                Tone::Bad,
                format!("{subject}: nothing of it is failing any more"),
            );
            return Vec::new();
        }
        let act = deed.act(&self.here, &self.user, subject, &problems);
        self.start(act)
    }

    /// Tells that it is being done, and has it done.
    pub(super) fn start(&mut self, act: Act) -> Vec<Request> {
        self.acts += 1;
        self.say(Tone::Underway, format!("{}: …", act.subject));
        vec![Request::Do(act)]
    }

    fn ask_for_maintenance(&mut self, target: &Target) -> Vec<Request> {
        if !self.is_kept_here(target, "maintenances") {
            return Vec::new();
        }
        let host = target.host().to_owned();
        if host.contains(['*', '?']) {
            self.say(Tone::Bad, "its name would stand for other hosts as well");
            return Vec::new();
        }
        self.dialog = Some(Dialog::Maintenance(MaintenanceForm {
            host,
            check: match target {
                Target::Check(problem) => Some(problem.check.clone()),
                Target::Host(..) => None,
            },
            lasts: Field::new("1h"),
            reason: Field::default(),
            is_in_reason: false,
            complaint: None,
        }));
        Vec::new()
    }

    fn ask_for_note(&mut self, target: &Target) -> Vec<Request> {
        if self.is_kept_here(target, "notes") {
            self.dialog = Some(Dialog::Note {
                host: target.host().to_owned(),
                text: Field::default(),
            });
        }
        Vec::new()
    }

    /// Other clusters take calls on checks and hosts through ours, and nothing else.
    fn is_kept_here(&mut self, target: &Target, what: &str) -> bool {
        let cluster = target.cluster();
        let is_here = cluster == self.here;
        if !is_here {
            let text = format!("{what} are local: those of {cluster} are made there");
            self.say(Tone::Bad, text);
        }
        is_here
    }

    fn ask_for_removal(&mut self, key: char, target: &Target) -> Vec<Request> {
        let (act, what) = match target {
            Target::Check(problem) => (actions::remove_check(&self.here, problem), "check"),
            // a line that is a host is not removed by the key that removes a check
            Target::Host(..) if key == 'x' => {
                self.say(
                    Tone::Bad,
                    "this line is a host: X removes it with all its checks",
                );
                return Vec::new();
            }
            Target::Host(cluster, host) => (
                actions::remove_host(&self.here, cluster, host),
                "host with all its checks",
            ),
        };
        let question = format!("Remove the {what}: {}?", act.subject);
        self.dialog = Some(Dialog::Confirm { question, act });
        Vec::new()
    }
}

/// Where a text is scrolled to by this key; None if it does not scroll.
fn scrolled(key: KeyEvent, at: usize, page: usize, longest: usize) -> Option<usize> {
    let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
    let to = match key.code {
        KeyCode::Char('d') if has_control => at + page,
        KeyCode::Char('u') if has_control => at.saturating_sub(page),
        KeyCode::PageDown | KeyCode::Char(' ') => at + page,
        KeyCode::PageUp => at.saturating_sub(page),
        KeyCode::Char('j') | KeyCode::Down => at + 1,
        KeyCode::Char('k') | KeyCode::Up => at.saturating_sub(1),
        KeyCode::Char('g') | KeyCode::Home => 0,
        KeyCode::Char('G') | KeyCode::End => longest,
        _ => return None,
    };
    Some(to.min(longest))
}
