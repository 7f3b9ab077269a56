//! What is promised to one check: a reference that is told what happens and never looks at the database.
//!
//! It knows *reasons to run*: the points of the check's grid, and a wish to run off the grid (its first run, run now,
//! resume, what was given back, what the sweep found). A run that begins must have a reason and takes all there are;
//! while it lasts, points of the grid pass with it.

use std::fmt::Write;

/// Microseconds of simulated time since the epoch.
pub(super) type Us = i64;

pub(super) const SECOND: Us = 1_000_000;
/// How overdue a check must be before the sweep looks after it.
const OVERDUE: Us = 2 * SECOND;
/// How much of its story a check tells when a rule is broken.
const STORY_LINES: usize = 30;

/// Where a check's place in time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) interval_s: i32,
    pub(super) phase_ms: i32,
}

impl Grid {
    /// How many of its points lie after `after` and not after `to`.
    pub(super) fn points(self, after: Us, to: Us) -> i64 {
        self.number(to) - self.number(after)
    }

    /// The first point after `after`.
    pub(super) fn next(self, after: Us) -> Us {
        (self.number(after) + 1) * self.interval() + self.phase()
    }

    fn number(self, at: Us) -> i64 {
        (at - self.phase()).div_euclid(self.interval())
    }

    pub(super) fn interval(self) -> Us {
        Us::from(self.interval_s) * SECOND
    }

    fn phase(self) -> Us {
        Us::from(self.phase_ms) * 1000
    }
}

/// A check as it stands in the database.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) grid: Grid,
    pub(super) rush_at: Option<Us>,
}

/// A run that began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    pub(super) lease: i64,
    pub(super) until: Us,
    pub(super) is_rush: bool,
}

/// A claim that had room for more than there was: of the grid, all that was due between these times has been taken;
/// of the rush lane, all that was due before the later one.
#[derive(Debug, Clone, Copy)]
pub(super) struct AllTaken {
    pub(super) from: Us,
    pub(super) to: Us,
}

/// One check between its reasons and its runs.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) grid: Grid,
    wish: Option<Us>,
    pub(super) is_suspended: bool,
    pub(super) held: Option<Begun>,
    /// When its last lease ended in order.
    free_from: Us,
    /// The points up to here are over: run, passed during a run, or void.
    over: Us,
    /// The points before this one may be late, until the sweep finds them.
    punctual_from: Us,
    /// Runs that were recorded.
    pub(super) recorded: i64,
    /// When the first of them was.
    pub(super) first_recorded: Option<Us>,
    /// The latest that a run on the grid began behind its point.
    pub(super) latest: Us,
    story: Vec<String>,
}

impl Reference {
    pub(super) fn new(name: &str, at: Us, row: Row) -> Self {
        let mut new = Self {
            grid: row.grid,
            wish: row.rush_at,
            is_suspended: false,
            held: None,
            free_from: at,
            over: at,
            punctual_from: at,
            recorded: 0,
            first_recorded: None,
            latest: 0,
            story: Vec::new(),
        };
        new.tell(at, &format!("{name} is registered: {row:?}"));
        let is_soon = new.wish.is_some_and(|wish| wish <= at + 8 * SECOND);
        new.must(is_soon, "a new check runs within 8 s");
        new
    }

    pub(super) fn is_held(&self, lease: i64, at: Us) -> bool {
        self.held
            .is_some_and(|held| held.lease == lease && held.until >= at)
    }

    pub(super) fn begins(&mut self, at: Us, run: Begun, taken: AllTaken) {
        self.tell(at, &format!("{run:?} begins; {taken:?}"));
        let lost = self.held.take();
        let is_free = lost.is_none_or(|lost| lost.until < at);
        self.must(is_free, "no live lease is taken");
        self.must(!self.is_suspended, "a suspended check does not run");
        let is_wish = self.wish.is_some();
        self.must(
            run.is_rush == is_wish,
            "a wish is run by the rush lane, a point by the grid's",
        );
        let point = self.grid.next(self.over);
        let points = self.grid.points(self.over, at);
        if let Some(wish) = self.wish.take() {
            self.must(wish <= at, "no wish is run before its time");
            let free = lost.map_or(self.free_from, |lost| lost.until + 1);
            let due = wish.max(free);
            self.must(due >= taken.to, "no wish is passed over");
        } else if lost.is_none() {
            self.must(points > 0, "nothing runs without a reason");
            let is_excused = point < self.punctual_from;
            self.must(
                points == 1 || is_excused,
                "no interval passes without a run",
            );
            self.is_not_passed_over(point, taken);
            self.latest = self.latest.max(at - point);
        }
        self.held = Some(run);
        self.over = at;
    }

    pub(super) fn is_recorded(&mut self, at: Us, lease: i64) {
        self.tell(at, &format!("lease {lease} is recorded"));
        self.must(
            self.is_held(lease, at),
            "only who holds a live lease records",
        );
        self.held = None;
        self.free_from = at;
        self.over = at;
        self.recorded += 1;
        self.first_recorded.get_or_insert(at);
    }

    pub(super) fn is_refused(&mut self, at: Us, lease: i64) {
        self.tell(at, &format!("lease {lease} is refused"));
    }

    pub(super) fn is_given_back(&mut self, at: Us, lease: i64) {
        self.tell(at, &format!("lease {lease} is given back"));
        // Also after its time, if nobody has taken the check since.
        if self.held.is_some_and(|held| held.lease == lease) {
            self.held = None;
            self.free_from = at;
            self.wish.get_or_insert(at);
        }
    }

    /// Whether the sweep must have found this check.
    pub(super) fn is_swept(&mut self, at: Us, taken: AllTaken) -> bool {
        let point = self.grid.next(self.over);
        let is_lost = self.held.is_some_and(|held| held.until < at);
        let is_overdue = self.held.is_none() && point < at - OVERDUE;
        let is_found = (is_lost || is_overdue) && self.wish.is_none() && !self.is_suspended;
        if is_found {
            self.tell(at, &format!("is found by the sweep; {taken:?}"));
            if is_overdue {
                self.is_not_passed_over(point, taken);
            }
            self.wish = Some(at);
        }
        is_found
    }

    fn is_not_passed_over(&self, point: Us, taken: AllTaken) {
        let is_passed_over = (taken.from..taken.to).contains(&point);
        let is_excused = point < self.punctual_from;
        self.must(!is_passed_over || is_excused, "no point is passed over");
    }

    pub(super) fn is_to_run(&mut self, at: Us, then: Us) {
        self.tell(at, &format!("is to run at {then}"));
        self.wish = Some(then);
    }

    pub(super) fn is_set_suspended(&mut self, at: Us, is_suspended: bool) {
        self.tell(at, &format!("suspended: {is_suspended}"));
        if self.is_suspended && !is_suspended {
            self.wish = Some(at);
            self.over = self.over.max(at);
        }
        self.is_suspended = is_suspended;
    }

    /// Points of the old grid at which no run has begun are void; a wish stands.
    pub(super) fn is_edited(&mut self, at: Us, row: Row) {
        self.tell(at, &format!("is edited: {row:?}"));
        if row.grid != self.grid {
            self.over = self.over.max(at);
        }
        self.grid = row.grid;
        self.agrees_with(row);
    }

    /// The points before `from` may be missed by every window: there was no worker, or none that knew this interval.
    pub(super) fn is_punctual_from(&mut self, from: Us) {
        self.punctual_from = self.punctual_from.max(from);
    }

    pub(super) fn agrees_with(&self, row: Row) {
        let rule = format!("the database has the same grid and wish, not {row:?}");
        self.must((self.grid, self.wish) == (row.grid, row.rush_at), &rule);
    }

    pub(super) fn is_out_of_turn(&self) -> bool {
        self.held.is_some() || self.wish.is_some()
    }

    /// When something is to happen to it next: it runs, or its lease is over and a sweep has seen that.
    pub(super) fn next(&self) -> Us {
        match (self.held, self.wish) {
            (Some(held), _) => held.until + SECOND,
            (None, Some(wish)) => wish,
            (None, None) => self.grid.next(self.over),
        }
    }

    /// All that was due has been taken and recorded, and time stands still.
    pub(super) fn has_nothing_due(&self, at: Us) {
        let is_due = match (self.wish, self.held) {
            (Some(wish), None) => wish <= at,
            (Some(wish), Some(held)) => wish <= at && held.until < at,
            (None, Some(held)) => held.until < at,
            (None, None) => {
                let point = self.grid.next(self.over);
                let is_found = point >= self.punctual_from || point < at - OVERDUE;
                is_found && point <= at
            }
        };
        self.must(self.is_suspended || !is_due, "nothing is left over");
    }

    fn tell(&mut self, at: Us, what: &str) {
        if self.story.len() == STORY_LINES {
            self.story.remove(0);
        }
        self.story.push(format!("{at}: {what}"));
    }

    fn must(&self, holds: bool, rule: &str) {
        if holds {
            return;
        }
        let mut story = String::new();
        for line in &self.story {
            let _ = writeln!(story, "{line}");
        }
        panic!(
            "broken: {rule}\n{story}{:?}, wish {:?}, held {:?}, over {}, punctual from {}",
            self.grid, self.wish, self.held, self.over, self.punctual_from
        );
    }
}
