//! Simulated time, and who acts in it: workers that come and go, a sweep, people.

use std::collections::BTreeMap;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use sqlx::{AssertSqlSafe, Executor};
use stalker_db::claims::ClaimedCheck;
use stalker_db::outcomes::record;
use stalker_db::{
    Pools,
    partitions::{self, Partitioned},
    sweep,
};
use stalker_domain::thresholds::Thresholds;
use stalker_tests::database::TestDatabase;
use stalker_tests::seed;

use super::super::{answered, pools, run_of};
use super::Pace;
use super::reference::{AllTaken, Begun, Reference, SECOND, Us};
use super::worker::{InHand, Worker};

/// Time that stands still between two steps, kept in a table so that moving it makes nobody plan anew; and dice that a
/// seed repeats. They like edges: of eight places on a grid one is its first millisecond and one its last.
const CLOCK_AND_DICE: &str = "
    create table clock.frozen (at timestamptz not null);
    insert into clock.frozen values (now());
    create or replace function clock.now() returns timestamptz stable language sql as $$ select at from clock.frozen $$;
    create sequence clock.throws;
    create function clock.random() returns double precision volatile language sql as $$
        select case n % 8
            when 0 then 0
            when 1 then 0.99999999999
            else (hashint8extended(n, SEED) & 4294967295) / 4294967296.0
        end from nextval('clock.throws') as n $$;
";
/// A run that does not hang takes at most this long.
const QUICK: Us = SECOND / 25;
const MOST_WORKERS: usize = 3;

/// A check, and what was promised to it.
pub(super) struct Check {
    pub(super) check_id: i64,
    pub(super) hostname: String,
    /// Nobody but workers touches it.
    pub(super) is_left_alone: bool,
    pub(super) reference: Reference,
}

pub(super) struct Simulation {
    pub(super) pace: Pace,
    pub(super) database: TestDatabase,
    pub(super) pools: Pools,
    pub(super) random: StdRng,
    pub(super) now: Us,
    pub(super) checks: Vec<Check>,
    pub(super) workers: Vec<Worker>,
    /// What workers held that died: some of them wake and record.
    pub(super) dead: Vec<InHand>,
    /// While nobody works.
    outage_ends: Us,
    all_taken: AllTaken,
    swept: Us,
    last_lease: i64,
    /// No more trouble, and runs end at once.
    pub(super) is_settling: bool,
    pub(super) did: BTreeMap<&'static str, usize>,
}

impl Simulation {
    pub(super) async fn new(pace: Pace) -> Self {
        let mut random = seed::random();
        let database = TestDatabase::with_clock().await;
        let dice = CLOCK_AND_DICE.replace("SEED", &random.random::<i32>().to_string());
        database
            .pool()
            .execute(AssertSqlSafe(dice))
            .await
            .expect("dice can be made");
        // Somewhere in 2030 or 2031, wherever that is on any grid: the seed repeats that too.
        let now = random.random_range(1_900_000_000..1_950_000_000) * SECOND;
        let mut new = Self {
            pools: pools(&database),
            pace,
            database,
            random,
            now,
            checks: Vec::new(),
            workers: Vec::new(),
            dead: Vec::new(),
            outage_ends: now,
            all_taken: AllTaken { from: now, to: now },
            swept: now,
            last_lease: 0,
            is_settling: false,
            did: BTreeMap::new(),
        };
        new.set_clock().await;
        new.make_partitions().await;
        for interval_s in new.pace.intervals_s {
            for i in 0..new.pace.checks_each {
                new.add(interval_s, i % 2 == 0).await;
            }
        }
        new
    }

    /// Everything that happens until the end, and what must be so then.
    pub(super) async fn run(mut self) {
        let end = self.now + Us::from(self.pace.lasts_s) * SECOND;
        while self.now < end {
            self.move_on().await;
            self.hire_and_fire().await;
            let mut turns: Vec<Turn> = (0..self.workers.len()).map(Turn::Worker).collect();
            turns.extend([Turn::People, Turn::Sweep, Turn::Dead]);
            turns.shuffle(&mut self.random);
            for turn in turns {
                self.take_turn(turn).await;
            }
        }
        self.settle().await;
        self.add_up().await;
    }

    /// To the next moment at which something ends, or a random one before it.
    async fn move_on(&mut self) {
        let began = self.now;
        let jump = self.random.random_range(1..=self.pace.jump);
        let mut to = began + jump;
        let running = self.workers.iter().flat_map(|worker| &worker.in_hand);
        let ends = running
            .map(|run| run.ends)
            .chain(self.dead.iter().map(|run| run.ends));
        let mut next: Vec<Us> = ends.collect();
        if self.workers.is_empty() {
            next.push(self.outage_ends);
        }
        let is_precise = self.random.random_bool(self.pace.precise);
        for check in self
            .checks
            .iter()
            .filter(|check| !check.reference.is_suspended)
        {
            if is_precise || check.reference.is_out_of_turn() {
                next.push(check.reference.next());
            }
        }
        let soon = self.random.random_range(1..2 * QUICK);
        for next in next {
            to = to.min(next.max(began) + soon);
        }
        self.now = to;
        self.set_clock().await;
        if began.div_euclid(12 * 3600 * SECOND) != to.div_euclid(12 * 3600 * SECOND) {
            self.make_partitions().await;
        }
        self.count("steps");
    }

    pub(super) async fn take_turn(&mut self, turn: Turn) {
        match turn {
            Turn::Worker(i) => {
                let ended = self.workers[i].ended(self.now);
                self.record(ended).await;
                self.claim(i).await;
            }
            Turn::Sweep if self.now - self.swept >= SECOND => self.sweep().await,
            Turn::People if self.random.random_bool(self.pace.people) => self.meddle().await,
            Turn::Dead => {
                let now = self.now;
                let woken = self.dead.extract_if(.., |run| run.ends <= now);
                let woken = woken.map(|run| run.check).collect();
                self.record(woken).await;
            }
            Turn::Sweep | Turn::People => {}
        }
    }

    async fn claim(&mut self, i: usize) {
        if self.workers[i].is_resting(self.now) && !self.is_settling {
            return;
        }
        self.last_lease += 1;
        let (lease, lease_s) = (self.last_lease, self.pace.lease_s);
        let claimed = self.workers[i]
            .claim(&self.pools, self.now, lease, lease_s)
            .await;
        for check in claimed.taken {
            let run = Begun {
                lease,
                until: self.now + Us::from(lease_s) * SECOND,
                is_rush: check.is_rush,
            };
            let (now, all_taken) = (self.now, self.all_taken);
            self.check(check.check_id)
                .reference
                .begins(now, run, all_taken);
            self.count(if check.is_rush {
                "rush runs"
            } else {
                "grid runs"
            });
            let ends = self.now + self.length_of_run(check.check_id);
            self.workers[i].in_hand.push(InHand { check, ends });
        }
        self.all_taken = claimed.all.unwrap_or(self.all_taken);
    }

    fn length_of_run(&mut self, check_id: i64) -> Us {
        if self.is_settling {
            0
        } else if self.random.random_bool(0.02) && !self.is_spared(check_id) {
            // some of them for longer than their lease
            self.count("slow runs");
            self.random
                .random_range(0..Us::from(self.pace.lease_s) * SECOND * 3 / 2)
        } else {
            self.random.random_range(SECOND / 1000..QUICK)
        }
    }

    async fn record(&mut self, ended: Vec<ClaimedCheck>) {
        if ended.is_empty() {
            return;
        }
        let mut runs = Vec::new();
        for check in &ended {
            // Their retries are as far apart as their runs, so a failing check stays on its grid.
            let code = if self.random.random_bool(0.03) { 2 } else { 0 };
            runs.push(run_of(check, answered(code)));
        }
        let recorded = record(&self.pools, &runs, &Thresholds::default())
            .await
            .expect("a batch can be recorded")
            .check_ids;
        let now = self.now;
        let mut expected = 0;
        for ClaimedCheck {
            check_id, lease, ..
        } in ended
        {
            let reference = &mut self.check(check_id).reference;
            if reference.is_held(lease, now) {
                reference.is_recorded(now, lease);
                assert!(
                    recorded.contains(&check_id),
                    "who holds a live lease is not refused"
                );
                expected += 1;
            } else {
                reference.is_refused(now, lease);
                self.count("refused");
            }
        }
        assert_eq!(
            recorded.len(),
            expected,
            "only who holds a live lease records"
        );
    }

    pub(super) async fn sweep(&mut self) {
        self.swept = self.now;
        let found = sweep::rush_what_was_lost(&self.pools.durable, 200)
            .await
            .expect("the database answers");
        let (now, taken) = (self.now, self.all_taken);
        let expected = self
            .checks
            .iter_mut()
            .filter_map(|check| check.reference.is_swept(now, taken).then_some(()));
        let expected = expected.count();
        assert_eq!(
            found, expected as u64,
            "the sweep finds what no window will, and nothing else"
        );
        *self.did.entry("found by the sweep").or_default() += expected;
    }

    /// Workers come, stop in order, or die.
    async fn hire_and_fire(&mut self) {
        if self.workers.is_empty() && self.now >= self.outage_ends {
            self.hire();
            for check in &mut self.checks {
                // What became due meanwhile is in nobody's window.
                check.reference.is_punctual_from(self.now);
            }
        }
        if self.workers.is_empty() || !self.random.random_bool(self.pace.staff) {
            return;
        }
        if self.workers.len() < MOST_WORKERS && self.random.random_bool(0.4) {
            return self.hire();
        }
        // Rather one who has something in hand.
        let i = (0..self.workers.len())
            .max_by_key(|i| self.workers[*i].in_hand.len())
            .expect("there is one");
        let held: Vec<i64> = self.workers[i]
            .in_hand
            .iter()
            .map(|run| run.check.check_id)
            .collect();
        if held.iter().any(|check_id| self.is_spared(*check_id)) {
            return;
        }
        let worker = self.workers.remove(i);
        if self.random.random_bool(0.5) {
            for (check_id, lease) in worker.stop(&self.pools).await {
                let now = self.now;
                self.check(check_id).reference.is_given_back(now, lease);
                self.count("given back");
            }
        } else {
            for mut run in worker.in_hand {
                run.ends = self.now
                    + self.random.random_range(0..3 * Us::from(self.pace.lease_s)) * SECOND;
                self.dead.push(run);
                self.count("died with");
            }
        }
        if self.workers.is_empty() {
            let outage = self.random.random_range(0..=self.pace.outage);
            self.outage_ends = self.now + outage;
            if outage == 0 {
                self.hire();
            }
            self.count("left without a worker");
        }
    }

    pub(super) fn hire(&mut self) {
        let slots = self.random.random_range(4..=16);
        self.workers.push(Worker::new(slots));
        self.count("workers");
    }

    /// Whether trouble with a worker would cost this check one of its runs: it is over only after some lease.
    fn is_spared(&mut self, check_id: i64) -> bool {
        let least = 5 * Us::from(self.pace.lease_s) * SECOND;
        let check = self.check(check_id);
        check.is_left_alone && check.reference.grid.interval() < least
    }

    pub(super) fn check(&mut self, check_id: i64) -> &mut Check {
        let found = self
            .checks
            .iter_mut()
            .find(|check| check.check_id == check_id);
        found.expect("only checks of this test are here")
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.did.entry(what).or_default() += 1;
    }

    async fn make_partitions(&self) {
        partitions::make_ahead(&self.pools.durable, Partitioned::StateChanges)
            .await
            .expect("the database answers");
    }

    async fn set_clock(&self) {
        sqlx::query("update clock.frozen set at = timestamptz 'epoch' + $1 * interval '1 us'")
            .bind(self.now)
            .execute(self.database.pool())
            .await
            .expect("the clock can be set");
    }
}

/// Who acts.
pub(super) enum Turn {
    Worker(usize),
    Sweep,
    People,
    Dead,
}
