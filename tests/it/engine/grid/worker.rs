//! Workers as the simulation has them: cursors, slots and runs in hand, on the real statements.

use stalker_db::claims::{ClaimedCheck, Cursors, claim_due, intervals_in_use};
use stalker_db::{Pools, claims};

use super::reference::{AllTaken, SECOND, Us};

/// A run in hand, which ends at `ends`.
#[derive(Debug, Clone)]
pub(super) struct InHand {
    pub(super) check: ClaimedCheck,
    pub(super) ends: Us,
}

/// How long a worker waits when nothing more was due, µs.
const REST: Us = SECOND / 25;

pub(super) struct Worker {
    cursors: Cursors,
    intervals_read: Option<Us>,
    slots: usize,
    pub(super) in_hand: Vec<InHand>,
    /// From when on its windows have no gap: a second before its first claim.
    sees_from: Option<Us>,
    rests_until: Us,
}

/// What a claim brought.
pub(super) struct Claimed {
    pub(super) taken: Vec<ClaimedCheck>,
    /// If there was room for more.
    pub(super) all: Option<AllTaken>,
}

impl Worker {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            cursors: Cursors::default(),
            intervals_read: None,
            slots,
            in_hand: Vec::new(),
            sees_from: None,
            rests_until: 0,
        }
    }

    pub(super) fn is_resting(&self, at: Us) -> bool {
        at < self.rests_until
    }

    /// What has ended by now.
    pub(super) fn ended(&mut self, at: Us) -> Vec<ClaimedCheck> {
        let ended = self.in_hand.extract_if(.., |run| run.ends <= at);
        ended.map(|run| run.check).collect()
    }

    /// As `worker::due_checks` does it: as many as there are free slots, at most half of all of them for rush runs, and
    /// the intervals read once a second.
    pub(super) async fn claim(
        &mut self,
        pools: &Pools,
        at: Us,
        lease: i64,
        lease_s: i32,
    ) -> Claimed {
        let free = self.slots - self.in_hand.len();
        if free == 0 {
            return Claimed {
                taken: Vec::new(),
                all: None,
            };
        }
        if self.intervals_read.is_none_or(|read| at - read >= SECOND) {
            let intervals = intervals_in_use(&pools.relaxed).await;
            self.cursors.keep(&intervals.expect("the database answers"));
            self.intervals_read = Some(at);
        }
        let is_rush = |run: &&InHand| run.check.is_rush;
        let rush = self
            .slots
            .div_ceil(2)
            .saturating_sub(self.in_hand.iter().filter(is_rush).count());
        let mut taken = claim_due(
            &pools.relaxed,
            &mut self.cursors,
            free as i32,
            rush as i32,
            lease,
            lease_s,
        )
        .await
        .expect("the database answers");
        let rush_taken = taken.iter().filter(|check| check.is_rush).count();
        assert!(
            taken.len() <= free && rush_taken <= rush,
            "no more is taken than was asked for"
        );
        // Rows come as they lie: in one order, a seed repeats everything.
        taken.sort_by_key(|check| check.check_id);
        let from = *self.sees_from.get_or_insert(at - SECOND);
        if taken.len() < free {
            self.rests_until = at + REST;
        }
        let is_all = taken.len() < free && rush_taken < rush;
        Claimed {
            taken,
            all: is_all.then_some(AllTaken { from, to: at }),
        }
    }

    /// Stops in order. Returns what was given back.
    pub(super) async fn stop(self, pools: &Pools) -> Vec<(i64, i64)> {
        let in_hand = self
            .in_hand
            .iter()
            .map(|run| (run.check.check_id, run.check.lease));
        let in_hand: Vec<_> = in_hand.collect();
        claims::give_back(&pools.durable, &in_hand)
            .await
            .expect("the database answers");
        in_hand
    }
}
