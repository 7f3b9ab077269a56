//! The end of a simulation: what is due is run, and the runs are counted.

use super::simulation::{Simulation, Turn};

impl Simulation {
    /// Time stands still, and what is due is run.
    pub(super) async fn settle(&mut self) {
        self.is_settling = true;
        self.dead.clear();
        if self.workers.is_empty() {
            self.hire();
        }
        for run in self
            .workers
            .iter_mut()
            .flat_map(|worker| &mut worker.in_hand)
        {
            run.ends = self.now;
        }
        loop {
            self.sweep().await;
            for i in 0..self.workers.len() {
                self.take_turn(Turn::Worker(i)).await;
            }
            if self.workers.iter().all(|worker| worker.in_hand.is_empty()) {
                return;
            }
        }
    }

    /// The counts.
    pub(super) async fn add_up(&mut self) {
        for (what, n) in &self.did {
            eprintln!("{n:6} {what}");
        }
        for what in [
            "edit, leased",
            "run now, leased",
            "suspend, leased",
            "given back",
            "died with",
        ] {
            assert!(self.did.contains_key(what), "too little happened: {what}");
        }
        for interval_s in self.pace.intervals_s {
            let (mut points, mut latest) = (0, 0);
            for check in &self.checks {
                let reference = &check.reference;
                reference.has_nothing_due(self.now);
                if !check.is_left_alone || reference.grid.interval_s != interval_s {
                    continue;
                }
                let first = reference.first_recorded.expect("each check has run");
                let expected = reference.grid.points(first, self.now);
                assert_eq!(
                    reference.recorded,
                    1 + expected,
                    "{}: its first run, and one for each of the {expected} points of its grid since",
                    check.hostname
                );
                points += expected;
                latest = latest.max(reference.latest);
            }
            eprintln!(
                "every {interval_s} s: {points} points run once each, at most {} ms late",
                latest / 1000
            );
            assert!(points > 0, "nothing came to its interval of {interval_s} s");
        }
        for i in 0..self.checks.len() {
            let row = self.row(&self.checks[i].hostname).await.1;
            self.checks[i].reference.agrees_with(row);
        }
    }
}
