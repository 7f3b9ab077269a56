//! Recording outcomes: one transaction per batch, fenced, with everything that follows (engine.md, section 3).

mod reachability;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, Transaction};
use stalker_domain::outcome::{Outcome, Verdict};
use stalker_domain::state::{Consequence, Step};
use stalker_domain::thresholds::Thresholds;

use crate::alerts::{self, Changes, Problem, int};
use crate::claims::ClaimedCheck;
use crate::failpoint::{self, Failpoint};
use crate::pools::{BEGIN_BY_KEY, Pools};

/// A run that is over, with what it means.
#[derive(Debug, Clone)]
pub struct Run {
    /// What was taken.
    pub check: ClaimedCheck,
    /// What came of it.
    pub outcome: Outcome,
    /// What that means.
    pub step: Step,
    /// The certificate that an agent without a pin showed: it is pinned to it.
    pub first_seen_cert_sha256: Option<String>,
}

/// What became of a batch.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// Checks whose outcome was recorded, in the order of ids; the others were refused by the fence.
    pub check_ids: Vec<i64>,
    /// Something may be owed now.
    pub is_telling: bool,
}

/// Records a batch and everything that follows from it, in one transaction. Runs whose lease ran out, was taken
/// over or taken away record nothing; that is normal, and they are missing from the answer.
///
/// # Errors
/// If the database does not answer, or a value is one that it cannot keep; nothing is recorded then.
pub async fn record(
    pools: &Pools,
    runs: &[Run],
    thresholds: &Thresholds,
) -> sqlx::Result<Recorded> {
    let is_telling = runs.iter().any(|run| {
        run.step.changed
            || run.outcome.verdict == Verdict::Unreachable
            || run.first_seen_cert_sha256.is_some()
    });
    let (mut tx, owners) = begin_with_states(pools, runs, is_telling).await?;
    let recorded: Vec<&Run> = runs
        .iter()
        .filter(|run| owners.contains_key(&key(run)))
        .collect();
    record_outputs(&mut tx, &recorded).await?;
    if is_telling {
        record_changes(&mut tx, &recorded, &owners).await?;
    }
    let hosts = reachability::lock_hosts(&mut tx, &recorded).await?;
    if is_telling {
        reachability::pin_first_seen(&mut tx, &recorded).await?;
    }
    let mut changes = alert_changes(&recorded);
    let hosts = reachability::record_reachability(&mut tx, hosts, &recorded, thresholds).await?;
    let is_host_telling = hosts.is_telling();
    (changes.hosts_down, changes.hosts_back) = (hosts.down, hosts.back);
    if is_host_telling && !is_telling {
        // a host's alert closes although none of these checks changed: this must survive a crash after all
        sqlx::query!("set local synchronous_commit = on")
            .execute(&mut *tx)
            .await?;
    }
    alerts::apply(&mut tx, &changes, thresholds).await?;
    failpoint::reach(Failpoint::InsideRecord).await;
    tx.commit().await?;
    Ok(Recorded {
        check_ids: owners.into_keys().map(|(check_id, _)| check_id).collect(),
        is_telling: is_telling || is_host_telling,
    })
}

/// Of each recorded run, who owned its check.
type Owners = BTreeMap<(i64, i64), String>;

/// A run is told by its lease too: after an outage a worker may hold a check twice, once under a lease that is over.
fn key(run: &Run) -> (i64, i64) {
    (run.check.check_id, run.check.lease)
}

/// Begins the transaction with the hot rows, each where its claim has put it. By key alone would read all versions of a row,
/// and they are many while somebody holds a snapshot. If some were rewritten since (run now, an owner), it begins anew with
/// where they lie now, so that rows are always locked in the order of ids: once for each edit of one of them, while the lease
/// lasts.
async fn begin_with_states(
    pools: &Pools,
    runs: &[Run],
    is_telling: bool,
) -> sqlx::Result<(Transaction<'static, Postgres>, Owners)> {
    let mut moved = BTreeMap::new();
    loop {
        let mut tx = if is_telling {
            pools.durable.begin_with(BEGIN_BY_KEY).await?
        } else {
            pools.relaxed.begin().await?
        };
        let owners = record_states(&mut tx, runs, &moved).await?;
        let missing = runs.iter().map(key).filter(|key| !owners.contains_key(key));
        let missing: Vec<(i64, i64)> = missing.collect();
        if missing.is_empty() {
            return Ok((tx, owners));
        }
        let found = places_of(&mut tx, &missing).await?;
        if found.is_empty() {
            return Ok((tx, owners)); // the fence refuses them
        }
        moved.extend(found);
        tx.rollback().await?;
    }
}

/// Where a row lies, by its check and the lease under which it is held.
type Places = BTreeMap<(i64, i64), String>;

/// Of these checks and leases, those that are still held.
async fn places_of(conn: &mut PgConnection, held: &[(i64, i64)]) -> sqlx::Result<Places> {
    let (check_ids, leases): (Vec<i64>, Vec<i64>) = held.iter().copied().unzip();
    let rows = sqlx::query!(
        r#"
        select s.check_id, u.lease as "lease!", s.ctid::text as "place!"
        from check_state s join unnest($1::bigint[], $2::bigint[]) as u(check_id, lease) using (check_id, lease)
        where s.leased_until >= now()
        "#,
        &check_ids,
        &leases,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ((row.check_id, row.lease), row.place))
        .collect())
}

/// The hot row: fenced; the next time comes from the row's present interval; a wish (`rush_at`) that was made
/// during the run survives; an unchanged output is not rewritten. Returns the owners of what was recorded; a row that
/// is not at its place, where it was claimed or has `moved` to, is left out.
async fn record_states(
    conn: &mut PgConnection,
    runs: &[Run],
    moved: &Places,
) -> sqlx::Result<Owners> {
    let mut places = Vec::with_capacity(runs.len());
    let mut ids = Vec::with_capacity(runs.len());
    let mut leases = Vec::with_capacity(runs.len());
    let mut statuses = Vec::with_capacity(runs.len());
    let mut unreachable = Vec::with_capacity(runs.len());
    let mut hard = Vec::with_capacity(runs.len());
    let mut fails = Vec::with_capacity(runs.len());
    let mut begins = Vec::with_capacity(runs.len());
    let mut retries = Vec::with_capacity(runs.len());
    let mut latencies = Vec::with_capacity(runs.len());
    let mut outs = Vec::with_capacity(runs.len());
    let mut flipped = Vec::with_capacity(runs.len());
    let mut flips_kept = Vec::with_capacity(runs.len());
    let mut flap_since = Vec::with_capacity(runs.len());
    let mut flap_until = Vec::with_capacity(runs.len());
    for run in runs {
        let next = &run.step.next;
        places.push(moved.get(&key(run)).unwrap_or(&run.check.place).as_str());
        ids.push(run.check.check_id);
        leases.push(run.check.lease);
        statuses.push(next.status.map(|status| status.code()));
        unreachable.push(next.unreachable);
        hard.push(next.hard);
        fails.push(int(next.fails));
        begins.push(
            next.status.map(|status| status.code()) != run.check.status
                || next.unreachable != run.check.unreachable,
        );
        retries.push(run.step.retry_in_s.map(int));
        latencies.push(i32::try_from(run.outcome.latency.as_micros()).unwrap_or(i32::MAX));
        outs.push(run.outcome.kept_line());
        let flip = next.flapping.flips.last().filter(|_| run.step.flipped);
        flipped.push(flip.copied());
        flips_kept.push(flip.and(i32::try_from(next.flapping.flips.len()).ok()));
        flap_since.push(flip.and(next.flapping.since));
        flap_until.push(flip.and(next.flapping.until));
    }
    let rows = sqlx::query!(
        r#"
        update check_state s
        set lease = null, leased_until = null,
            status = r.status, unreachable = r.unreachable, hard = r.hard, fails = r.fails,
            since = case when r.begins then now() else s.since end,
            last_at = now(), resumed = null, latency_us = r.latency_us,
            out = case when s.out is distinct from r.out then r.out else s.out end,
            flips = case when r.flipped is null then s.flips else (s.flips || r.flipped)[cardinality(s.flips) + 2 - r.flips_kept :] end,
            flap_since = case when r.flipped is null then s.flap_since else r.flap_since end,
            flap_until = case when r.flipped is null then s.flap_until else r.flap_until end,
            -- responsibility ends with the alert; what flaps is not over when it is ok for a while
            owner = case when r.status = 0 and not r.hard and not r.unreachable and s.owner <> '' then '' else s.owner end,
            due_at = timestamptz 'epoch' + (((r.now_ms - s.phase_ms) / (s.interval_s * 1000::bigint) + 1) * (s.interval_s * 1000::bigint) + s.phase_ms) * interval '1 ms',
            rush_at = case when s.rush_at is not null then s.rush_at
                           when r.retry_s is not null then now() + make_interval(secs => r.retry_s) end
        from (select u.*, floor(extract(epoch from now()) * 1000)::bigint as now_ms
              from unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::bool[], $5::bool[], $6::int[], $7::bool[], $8::int[], $9::int[], $10::text[],
                          $11::timestamptz[], $12::int[], $13::timestamptz[], $14::timestamptz[], $15::text[])
                   as u(check_id, lease, status, unreachable, hard, fails, begins, retry_s, latency_us, out, flipped, flips_kept, flap_since, flap_until, place)
              order by u.check_id) r
        where s.ctid = r.place::tid
          -- written so that no index can serve it, or the planner would take the index of the key
          and (s.check_id, s.lease) is not distinct from (r.check_id, r.lease) and s.leased_until >= now()
        returning s.check_id, r.lease as "lease!", s.owner
        "#,
        &ids,
        &leases,
        &statuses as &[Option<i16>],
        &unreachable,
        &hard,
        &fails,
        &begins,
        &retries as &[Option<i32>],
        &latencies,
        &outs as &[&str],
        &flipped as &[Option<DateTime<Utc>>],
        &flips_kept as &[Option<i32>],
        &flap_since as &[Option<DateTime<Utc>>],
        &flap_until as &[Option<DateTime<Utc>>],
        &places as &[&str],
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ((row.check_id, row.lease), row.owner))
        .collect())
}

/// The full text, where it tells something: when the status changed, and for what is failing.
async fn record_outputs(conn: &mut PgConnection, runs: &[&Run]) -> sqlx::Result<()> {
    let telling: Vec<&&Run> = runs
        .iter()
        .filter(|run| run.step.changed || run.step.next.fails > 0)
        .collect();
    if telling.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = telling.iter().map(|run| run.check.check_id).collect();
    let outs: Vec<&str> = telling.iter().map(|run| run.outcome.out.as_str()).collect();
    let errs: Vec<&str> = telling.iter().map(|run| run.outcome.err.as_str()).collect();
    sqlx::query!(
        r#"
        insert into outputs (check_id, at, out, err)
        select check_id, now(), out, err from unnest($1::bigint[], $2::text[], $3::text[]) as u(check_id, out, err) order by check_id
        on conflict (check_id) do update set at = excluded.at, out = excluded.out, err = excluded.err
        where (outputs.out, outputs.err) is distinct from (excluded.out, excluded.err)
        "#,
        &ids,
        &outs as &[&str],
        &errs as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn record_changes(
    conn: &mut PgConnection,
    runs: &[&Run],
    owners: &Owners,
) -> sqlx::Result<()> {
    let changed: Vec<&&Run> = runs.iter().filter(|run| run.step.changed).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = changed.iter().map(|run| run.check.check_id).collect();
    let hostnames: Vec<&str> = changed
        .iter()
        .map(|run| run.check.hostname.as_str())
        .collect();
    let names: Vec<&str> = changed
        .iter()
        .map(|run| run.check.check_name.as_str())
        .collect();
    let statuses: Vec<Option<i16>> = changed
        .iter()
        .map(|run| run.step.next.status.map(|status| status.code()))
        .collect();
    let unreachable: Vec<bool> = changed
        .iter()
        .map(|run| run.step.next.unreachable)
        .collect();
    let hard: Vec<bool> = changed
        .iter()
        .map(|run| run.step.next.hard && run.step.next.fails > 0)
        .collect();
    let outs: Vec<&str> = changed
        .iter()
        .map(|run| run.outcome.output.history_text())
        .collect();
    let owners: Vec<&str> = changed
        .iter()
        .map(|run| owners[&key(run)].as_str())
        .collect();
    sqlx::query!(
        r#"
        insert into state_changes (check_id, hostname, check_name, at, status, unreachable, hard, out, owner)
        select check_id, hostname, check_name, now(), status, unreachable, hard, out, owner
        from unnest($1::bigint[], $2::text[], $3::text[], $4::smallint[], $5::bool[], $6::bool[], $7::text[], $8::text[])
             as u(check_id, hostname, check_name, status, unreachable, hard, out, owner)
        "#,
        &ids,
        &hostnames as &[&str],
        &names as &[&str],
        &statuses as &[Option<i16>],
        &unreachable,
        &hard,
        &outs as &[&str],
        &owners as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What these runs mean for the alerts of their checks.
fn alert_changes<'a>(runs: &[&'a Run]) -> Changes<'a> {
    let of = |consequence: Consequence| {
        runs.iter()
            .filter(move |run| run.step.alert == consequence)
            .map(|run| Problem {
                check_id: run.check.check_id,
                status: run.step.next.status.map_or(3, |status| status.code()),
                fails: int(run.step.next.fails),
                out: run.outcome.output.first_line(),
                is_of_flapping: run.step.flaps_long,
            })
    };
    Changes {
        opens: of(Consequence::Opens).collect(),
        changes: of(Consequence::Changes).collect(),
        closes: of(Consequence::Closes)
            .map(|problem| problem.check_id)
            .collect(),
        ..Changes::default()
    }
}
