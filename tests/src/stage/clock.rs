//! Time and rest: what happens between the scenes of a story.

use std::time::Duration;

use sqlx::{Executor, PgPool};
use stalker_db::doctor;
use stalker_domain::outcome::{LEASE_MARGIN_S, TIMEOUT_MAX_S};

use super::{Page, Stage};
use crate::until::{until, until_seen};

/// Generous, since several tests share two cores.
const PATIENCE: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);
/// What is put right within a moment is not broken.
const SECOND_LOOK: Duration = Duration::from_secs(5);
/// As often something more may be found to do before it is taken for endless.
const ROUNDS: usize = 30;

/// A second of the scheduler's takes a tenth here, so that a story can wait for its duties after every scene.
pub(super) async fn hurry_duties(pool: &PgPool) {
    pool.execute(
        "alter table duties alter every_s type double precision;
         update duties set every_s = 0.1 where every_s = 1",
    )
    .await
    .expect("the table of duties is as expected");
}

impl Stage {
    /// Moves the clock, between two moments: what is under way ends first, so that no lease runs out but where a story
    /// wants that (then move [`Stage::database`]'s clock). Nothing runs because of it, and duties see it soon.
    ///
    /// # Panics
    /// If what is under way does not end.
    pub async fn advance(&self, by: Duration) {
        self.quiet().await;
        until("nothing is under way", PATIENCE, async || {
            match self.advance_if_nothing_is_under_way(by).await {
                Err(error) if !stalker_db::is_passing(&error) => panic!("the clock: {error}"),
                advanced => advanced.ok()?,
            }
        })
        .await;
    }

    /// A minute passes and everything runs, so many times.
    ///
    /// # Panics
    /// As [`Stage::advance`] and [`Stage::run_all`].
    pub async fn minutes(&self, n: usize) {
        self.rounds(n, MINUTE).await;
    }

    /// So much time passes and everything runs, `n` times.
    ///
    /// # Panics
    /// As [`Stage::advance`] and [`Stage::run_all`].
    pub async fn rounds(&self, n: usize, every: Duration) {
        for _ in 0..n {
            self.advance(every).await;
            self.run_all().await;
        }
    }

    /// Runs every check once, out of turn, and waits until all that came of it is recorded. Suspended ones do not run.
    ///
    /// # Panics
    /// If they have not run in time; there must be a worker.
    pub async fn run_all(&self) {
        self.execute("update check_state set rush_at = now() where not suspended and not removed")
            .await;
        self.idle().await;
    }

    /// Runs these checks as [`Stage::run_all`] does, and no others.
    ///
    /// # Panics
    /// As [`Stage::run_all`].
    pub async fn run(&self, checks: &[impl AsRef<str>]) {
        let checks: Vec<&str> = checks.iter().map(AsRef::as_ref).collect();
        sqlx::query(
            "update check_state s set rush_at = now() from checks k join hosts h using (host_id)
             where k.check_id = s.check_id and h.hostname || '/' || k.name = any ($1) and not s.suspended and not s.removed",
        )
        .bind(checks)
        .execute(self.pool())
        .await
        .expect("checks can be made due");
        self.idle().await;
    }

    /// Waits until no check is due or running.
    ///
    /// # Panics
    /// If that does not come to be.
    pub async fn idle(&self) {
        self.run_directly().await;
        let busy = async || {
            self.count(
                "select count(*) from check_state
                 where lease is not null or (not suspended and not removed and coalesce(rush_at, due_at) <= now())",
            )
            .await
        };
        until_seen("no check is due or running", PATIENCE, busy, |n| *n == 0).await;
    }

    /// Waits until all that can be sent now is sent, and two rounds of the scheduler have found nothing more to do:
    /// what comes now comes only because something happens, or time passes. Then everything must be true that always is.
    ///
    /// # Panics
    /// As [`Stage::rest`], or if the doctor finds something broken.
    pub async fn settle(&self) {
        self.rest().await;
        self.is_sound().await;
    }

    /// As [`Stage::settle`], where the story itself breaks something, such as a receiver that takes nothing for minutes.
    ///
    /// # Panics
    /// If that does not come to be; there must be a worker and a scheduler.
    pub async fn rest(&self) {
        for _ in 0..ROUNDS {
            // asked first: what a duty owes between two questions would be under way, and look like nothing new
            let before = self.notified().await;
            self.quiet().await;
            for _ in 0..2 {
                self.one_duty_round().await;
            }
            if self.notified().await == before {
                return;
            }
        }
        let pages: Vec<String> = self.received().iter().map(Page::to_string).collect();
        let last = pages.get(pages.len().saturating_sub(20)..);
        panic!("there is no end of it; the last pages: {last:#?}");
    }

    /// Waits until the doctor finds nothing broken. Who holds a transaction open is not asked: that is the story's.
    async fn is_sound(&self) {
        let longest_s =
            i32::try_from(TIMEOUT_MAX_S + LEASE_MARGIN_S).expect("a run takes an hour at most");
        let broken = async || {
            let pool = self.pool();
            let findings = [
                doctor::no_runs(pool).await,
                doctor::undone_duties(pool).await,
                doctor::old_leases_of_checks(pool, longest_s).await,
                doctor::old_leases_of_notifications(pool, longest_s).await,
                doctor::untaken(pool).await,
                doctor::late_resolves(pool).await,
                doctor::out_of_order(pool).await,
                doctor::hard_without_alert(pool).await,
                doctor::alerts_without_state(pool).await,
                doctor::floods_against_members(pool).await,
            ];
            let findings = findings
                .into_iter()
                .flat_map(|found| found.expect("the doctor can ask"));
            findings.map(|finding| finding.what).collect::<Vec<_>>()
        };
        until_seen("nothing is broken", SECOND_LOOK, broken, Vec::is_empty).await;
    }

    /// Nothing is being sent, could be sent, or is owed.
    async fn quiet(&self) {
        let busy = async || {
            let busy: Vec<String> = sqlx::query_scalar(
                "select concat_ws(' ', channel, kind, n, 'owed') from owed
                 union all
                 select concat_ws(' ', n.channel, n.kind, n.n, n.state, n.attempts, n.reason, n.leased_until - now(), now() - n.next_attempt_at)
                 from notifications n join alerts a using (alert_id)
                 where n.state = 'sending'
                    or (n.state = 'pending' and n.next_attempt_at <= now()
                        and n.channel not in (select name from channels where disabled_at is not null)
                        and (n.kind = 'resolve' or (a.closed_at is null and suppression(a) is null))
                        and not exists (
                            select from notifications b
                            where b.channel = n.channel and b.dedup_key = n.dedup_key and b.state in ('pending', 'sending')
                              and (b.alert_id, b.notification_id) < (n.alert_id, n.notification_id)))",
            )
            .fetch_all(self.pool())
            .await
            .expect("the tables are as expected");
            busy
        };
        until_seen("all is sent", PATIENCE, busy, Vec::is_empty).await;
    }

    async fn one_duty_round(&self) {
        let last = async || {
            sqlx::query_scalar::<_, Option<String>>(
                "select last_at::text from duties where name = 'owed'",
            )
            .fetch_one(self.pool())
            .await
            .expect("duties can be read")
        };
        let before = last().await;
        until_seen("the duty is done again", PATIENCE, last, |at| *at != before).await;
    }

    /// Grows with everything that happens to an alert or a notification.
    async fn notified(&self) -> i64 {
        self.count(
            "select (select count(*) from notifications) + (select count(settled_at) from notifications)
                  + (select count(*) from attempts) + (select count(*) from alerts) + (select count(closed_at) from alerts)",
        )
        .await
    }

    /// Holds everybody for a moment, in which nobody has a lease. A transaction that began before would see two times.
    async fn advance_if_nothing_is_under_way(&self, by: Duration) -> sqlx::Result<Option<()>> {
        let mut tx = self.pool().begin().await?;
        // who waits for longer than this might be waited for
        tx.execute("set local lock_timeout = '100ms'; lock table check_state, notifications, duties in exclusive mode")
            .await?;
        let leases: i64 = sqlx::query_scalar(
            "select (select count(lease) from check_state) + (select count(lease) from notifications) + (select count(lease) from duties)",
        )
        .fetch_one(&mut *tx)
        .await?;
        if leases > 0 {
            return Ok(None);
        }
        sqlx::query("call clock.advance(make_interval(secs => $1))")
            .bind(by.as_secs_f64())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Some(()))
    }
}
