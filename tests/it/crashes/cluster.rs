//! Schedulers, workers and hosts under them, whose checks break and mend when a test says so; and what must be in the
//! books afterwards, whoever died in between.

use std::time::{Duration, Instant};

use sqlx::PgPool;
use stalker_tests::agent::Agent;
use stalker_tests::database::TestDatabase;
use stalker_tests::receiver::Receiver;
use stalker_tests::server::{CHECK_KEY, Component, Installation};
use stalker_tests::until::{until, until_seen};

use super::told::each_was_told;
use super::{LEASE_S, PATIENCE, TIMEOUT_S, count};

/// So few checks that an episode, in which all break, is no flood and no burst. No two bear the same name, because one
/// agent stands for all hosts.
const HOSTS: [(&str, [&str; 2]); 4] = [
    ("web0", ["check_a", "check_b"]),
    ("web1", ["check_c", "check_d"]),
    ("web2", ["check_e", "check_f"]),
    ("web3", ["check_g", "check_h"]),
];
const CHECKS: i64 = 8;
const INTERVAL_S: u32 = 2;
/// How long a check may wait for its next run although a worker died with it: the promise of the design.
const LONGEST_GAP: Duration = Duration::from_secs((INTERVAL_S + LEASE_S + 2) as u64);
/// A sender that died is missed after this long.
const SENDERS_LEASE: Duration = Duration::from_secs(31);
/// Longer than the windows in which flips and alerts are counted: what was before is not counted any more.
const CALM: Duration = Duration::from_secs(1300);

/// An API, two schedulers, a pager, and hosts. The test starts and kills the workers.
pub(super) struct Cluster {
    pub(super) database: TestDatabase,
    pub(super) installation: Installation,
    pub(super) agent: Agent,
    pub(super) receiver: Receiver,
    pub(super) schedulers: Vec<Component>,
    _api: Component,
    /// That have begun.
    episodes: i64,
    is_broken: bool,
    deaths: Vec<Instant>,
}

impl Cluster {
    pub(super) async fn start() -> Self {
        let database = TestDatabase::with_clock().await;
        let agent = Agent::start(CHECK_KEY).await;
        let receiver = Receiver::start().await;
        let installation = Installation::new(&database)
            .channel("pager", receiver.url())
            .set("worker.check_timeout", TIMEOUT_S)
            .set("worker.lease", LEASE_S)
            .set("alerts.alert_threshold", 2);
        let api = installation.start("api").await;
        for (host, checks) in HOSTS {
            api.api()
                .register_simulated(&agent, host, &checks, INTERVAL_S)
                .await;
        }
        let mut schedulers = Vec::new();
        for _ in 0..2 {
            schedulers.push(installation.start("scheduler").await);
        }
        Self {
            database,
            installation,
            agent,
            receiver,
            schedulers,
            _api: api,
            episodes: 0,
            is_broken: false,
            deaths: Vec::new(),
        }
    }

    pub(super) async fn worker(&self) -> Component {
        self.installation.start("worker").await
    }

    fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    /// Waits until every check has a first result, ok.
    pub(super) async fn all_are_well(&self) {
        let sql = "select count(*) from check_state where status = 0 and not hard";
        let well = async || count(self.pool(), sql).await;
        until_seen("all are well", PATIENCE, well, |n| *n == CHECKS).await;
    }

    pub(super) fn break_all(&mut self) {
        self.episodes += 1;
        self.is_broken = true;
        self.all_say(2, "CRITICAL - broken");
    }

    pub(super) fn mend_all(&mut self) {
        self.is_broken = false;
        self.all_say(0, "OK - mended");
    }

    fn all_say(&self, status: i32, out: &str) {
        for check in HOSTS.iter().flat_map(|(_, checks)| checks) {
            self.agent.answer(check, status, out);
        }
    }

    /// Says that a worker has just been killed.
    pub(super) fn worker_died(&mut self) {
        self.deaths.push(Instant::now());
    }

    /// After a death: all checks run again, in the time of the real clock; then this half of the episode is told.
    pub(super) async fn recovers(&self) {
        let since = Instant::now();
        until("all run again", PATIENCE, async || {
            let times = self.agent.run_times();
            let again = times
                .values()
                .filter(|at| at.last().is_some_and(|at| *at > since));
            (again.count() == CHECKS as usize).then_some(())
        })
        .await;
        // nobody waits half a minute for what a dead sender had in hand
        self.database.advance(SENDERS_LEASE).await;
        if self.is_broken {
            let open = "select count(*) from alerts where closed_at is null";
            self.is_told("trigger", open, CHECKS).await;
        } else {
            let closed = "select count(*) from alerts where closed_at is not null";
            self.is_told("resolve", closed, CHECKS * self.episodes)
                .await;
        }
    }

    /// Lets the flips and the alerts of an episode become too old to be counted.
    pub(super) async fn calm_down(&self) {
        self.database.advance(CALM).await;
    }

    async fn is_told(&self, kind: &str, alerts: &'static str, n: i64) {
        let told = "select count(*) from notifications where kind = $1 and state = 'accepted'";
        let seen = async || -> (i64, i64) {
            let told = sqlx::query_scalar(told).bind(kind);
            let told = told.fetch_one(self.pool()).await;
            let told = told.expect("the database answers");
            (count(self.pool(), alerts).await, told)
        };
        let what = format!("{n} alerts, and of each of all episodes a {kind}");
        let wanted = (n, CHECKS * self.episodes);
        until_seen(&what, PATIENCE, seen, |seen| *seen == wanted).await;
    }

    /// After the last episode: nothing was lost, nothing was applied twice, and what was told twice is what a dead
    /// sender may have told. Returns how many messages came twice.
    pub(super) async fn books_are_right(&self) -> usize {
        self.no_check_was_lost();
        self.history_is_right().await;
        let owed = count(self.pool(), "select count(*) from owed").await;
        assert_eq!(owed, 0, "something is owed");
        each_was_told(self.pool(), &self.receiver).await
    }

    /// A check whose worker dies is run again when the lease is over. The next worker may die with it too.
    fn no_check_was_lost(&self) {
        let end = Instant::now();
        for (check, mut times) in self.agent.run_times() {
            times.push(end);
            for pair in times.windows(2) {
                let died = |at: &&Instant| (pair[0]..=pair[1]).contains(*at);
                let deaths = self.deaths.iter().filter(died).count();
                let lease = Duration::from_secs(LEASE_S.into());
                let longest = LONGEST_GAP + lease * deaths.saturating_sub(1) as u32;
                let gap = pair[1] - pair[0];
                assert!(
                    gap <= longest,
                    "{check} was not run for {gap:?}, with {deaths} deaths"
                );
            }
        }
    }

    /// Every transition once: ok, and of each episode soft, hard and ok again.
    async fn history_is_right(&self) {
        let sql = "
            select check_name, string_agg(status || case when hard then '!' else '' end, ' ' order by at, change_id)
            from state_changes group by check_name";
        let seen: Vec<(String, String)> = sqlx::query_as(sql)
            .fetch_all(self.pool())
            .await
            .expect("the database answers");
        let wanted = format!("0{}", " 2 2! 0".repeat(self.episodes as usize));
        for (check, seen) in &seen {
            assert_eq!(*seen, wanted, "of {check}");
        }
        assert_eq!(seen.len(), CHECKS as usize, "checks with a history");
        let opened = count(self.pool(), "select count(*) from alerts").await;
        assert_eq!(opened, CHECKS * self.episodes, "alerts");
    }
}
