//! What people and agents do in the simulation: they register, edit, suspend, resume and run checks.

use rand::Rng;
use rand::seq::IndexedRandom;
use sqlx::types::chrono::DateTime;

use stalker_domain::wire::Registration;
use stalker_tests::people;

use super::reference::{Grid, Reference, Row, SECOND, Us};
use super::simulation::{Check, Simulation};

impl Simulation {
    pub(super) async fn add(&mut self, interval_s: i32, is_left_alone: bool) {
        let hostname = format!("host-{}", self.checks.len());
        self.register(&hostname, interval_s).await;
        let (check_id, row) = self.row(&hostname).await;
        let reference = Reference::new(&hostname, self.now, row);
        self.checks.push(Check {
            check_id,
            hostname,
            is_left_alone,
            reference,
        });
    }

    /// Someone does something to a check, mostly to one that is leased just now.
    pub(super) async fn meddle(&mut self) {
        let touched: Vec<_> = self
            .checks
            .iter()
            .filter(|check| !check.is_left_alone)
            .collect();
        let leased: Vec<_> = touched
            .iter()
            .filter(|check| check.reference.held.is_some())
            .copied()
            .collect();
        let among = if leased.is_empty() || self.random.random_bool(0.4) {
            &touched
        } else {
            &leased
        };
        let check = among
            .choose(&mut self.random)
            .expect("some checks are not left alone");
        let (check_id, is_leased) = (check.check_id, check.reference.held.is_some());
        let what = match self.random.random_range(0..10) {
            _ if check.reference.is_suspended && self.random.random_bool(0.7) => {
                self.suspend(check_id, false).await
            }
            0..3 => self.edit(check_id).await,
            3..6 => self.run_now(check_id).await,
            6 => self.run_later(check_id).await,
            7 => self.register_again(check_id).await,
            8 => self.suspend(check_id, true).await,
            // one after the other, and so within one run
            _ => {
                self.suspend(check_id, true).await;
                self.suspend(check_id, false).await
            }
        };
        self.count(if is_leased {
            what.while_leased
        } else {
            what.while_idle
        });
    }

    async fn run_now(&mut self, check_id: i64) -> Done {
        self.run_at(check_id, None).await;
        Done {
            while_leased: "run now, leased",
            while_idle: "run now",
        }
    }

    /// Until then its grid waits.
    async fn run_later(&mut self, check_id: i64) -> Done {
        let interval = self.check(check_id).reference.grid.interval();
        let then = self.now + self.random.random_range(0..2 * interval.min(3600 * SECOND));
        self.run_at(check_id, Some(then)).await;
        Done {
            while_leased: "run later, leased",
            while_idle: "run later",
        }
    }

    async fn run_at(&mut self, check_id: i64, then: Option<Us>) {
        let at =
            then.map(|then| DateTime::from_timestamp_micros(then).expect("a time of our days"));
        assert!(people::run_at(&self.pools.durable, check_id, at).await);
        let now = self.now;
        self.check(check_id)
            .reference
            .is_to_run(now, then.unwrap_or(now));
    }

    async fn suspend(&mut self, check_id: i64, is_suspended: bool) -> Done {
        assert!(people::suspend(&self.pools.durable, check_id, is_suspended).await);
        let now = self.now;
        self.check(check_id)
            .reference
            .is_set_suspended(now, is_suspended);
        self.allow_for_an_interval_that_nobody_knows(check_id);
        if is_suspended {
            Done {
                while_leased: "suspend, leased",
                while_idle: "suspend",
            }
        } else {
            Done {
                while_leased: "resume, leased",
                while_idle: "resume",
            }
        }
    }

    async fn edit(&mut self, check_id: i64) -> Done {
        let mut intervals = self.pace.intervals_s.to_vec();
        intervals.push(self.pace.odd_interval_s);
        let interval_s = *intervals.choose(&mut self.random).expect("there are some");
        self.register_with(check_id, interval_s).await;
        self.allow_for_an_interval_that_nobody_knows(check_id);
        Done {
            while_leased: "edit, leased",
            while_idle: "edit",
        }
    }

    async fn register_again(&mut self, check_id: i64) -> Done {
        let interval_s = self.check(check_id).reference.grid.interval_s;
        self.register_with(check_id, interval_s).await;
        Done {
            while_leased: "register again, leased",
            while_idle: "register again",
        }
    }

    async fn register_with(&mut self, check_id: i64, interval_s: i32) {
        let hostname = self.check(check_id).hostname.clone();
        self.register(&hostname, interval_s).await;
        let row = self.row(&hostname).await.1;
        let now = self.now;
        self.check(check_id).reference.is_edited(now, row);
    }

    /// Workers read once a second which intervals are in use. Points that come before are for the sweep.
    fn allow_for_an_interval_that_nobody_knows(&mut self, check_id: i64) {
        let from = self.now + SECOND + self.pace.jump;
        let odd = self.pace.odd_interval_s;
        let reference = &mut self.check(check_id).reference;
        if reference.grid.interval_s == odd {
            reference.is_punctual_from(from);
        }
    }

    async fn register(&self, hostname: &str, interval_s: i32) {
        let check =
            serde_json::json!({"args": "", "interval": interval_s, "follow_up": interval_s});
        let registration = serde_json::json!({"hostname": hostname, "checks": {"check": check}});
        let registration: Registration =
            serde_json::from_value(registration).expect("a registration as the wire has it");
        people::register(&self.pools.durable, &registration).await;
    }

    pub(super) async fn row(&self, hostname: &str) -> (i64, Row) {
        let sql = "select check_id, s.interval_s, s.phase_ms, (extract(epoch from s.rush_at) * 1000000)::bigint
                   from check_state s join checks using (check_id) join hosts using (host_id) where hostname = $1";
        let row = sqlx::query_as(sql)
            .bind(hostname)
            .fetch_one(self.database.pool())
            .await;
        let (check_id, interval_s, phase_ms, rush_at) = row.expect("the check is there");
        (
            check_id,
            Row {
                grid: Grid {
                    interval_s,
                    phase_ms,
                },
                rush_at,
            },
        )
    }
}

/// What was done, to be counted.
struct Done {
    while_leased: &'static str,
    while_idle: &'static str,
}
