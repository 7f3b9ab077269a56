//! Taking due checks: one statement, two lanes, no double take (engine.md, section 2).

use std::collections::BTreeMap;
use std::time::Instant;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use stalker_domain::flapping::{FlapPolicy, Flapping};
use stalker_domain::outcome::{LEASE_MARGIN_S, Verdict};
use stalker_domain::state::{self, Policy, State, Step};
use stalker_domain::status::Status;
use stalker_domain::thresholds::Thresholds;

/// A check that was taken to be run, with all that a run needs.
#[derive(Debug, Clone)]
pub struct ClaimedCheck {
    /// The check.
    pub check_id: i64,
    /// Fencing token: whoever records must show it.
    pub lease: i64,
    /// Where its row has lain since the claim, as PostgreSQL's `(page,item)`: recording goes there first.
    pub place: String,
    /// Its time on the grid; of a rush run, the next one, and not when it was wanted.
    pub due_at: DateTime<Utc>,
    /// It came from the rush lane: out of turn.
    pub is_rush: bool,
    /// Seconds between runs while ok.
    pub interval_s: i32,
    /// Seconds between runs while failing.
    pub follow_up_s: i32,
    /// Status code of the last answered run.
    pub status: Option<i16>,
    /// The last outcome was unreachable.
    pub unreachable: bool,
    /// Its alert is open.
    pub hard: bool,
    /// Failing runs in a row.
    pub fails: i32,
    /// Its flips between ok and failing.
    pub flapping: Flapping,
    /// The check's name.
    pub check_name: String,
    /// How it is probed: `agent`.
    pub kind: String,
    /// 0 never notifies, 1 most urgent, 2.
    pub priority: i16,
    /// Seconds that its script may take, else the server's setting.
    pub timeout_s: Option<i32>,
    /// Its own threshold, else the server's.
    pub alert_threshold: Option<i32>,
    /// Its own threshold, else the server's.
    pub flap_threshold: Option<i32>,
    /// Its own window in seconds, else the server's.
    pub flap_window_s: Option<i32>,
    /// The host.
    pub host_id: i64,
    /// The host's name.
    pub hostname: String,
    /// Where the host is called.
    pub ip: String,
    /// The port that its agent listens on.
    pub port: i32,
    /// The certificate that its agent must show, lower-case hex SHA-256.
    pub cert_sha256: Option<String>,
    /// The key with which this agent wants to be called.
    pub check_key: Option<String>,
    /// The agent limits how long its scripts run (it sent a version).
    pub limits_its_scripts: bool,
    /// The database's time of the claim, and this process's: the only clock that schedules or compares is the first.
    pub claimed_at: (DateTime<Utc>, Instant),
}

impl ClaimedCheck {
    /// What this outcome, which has just arrived, does to the check.
    #[must_use]
    pub fn advance(&self, verdict: Verdict, thresholds: &Thresholds) -> Step {
        let (at, since) = self.claimed_at;
        state::advance(
            &self.state(),
            verdict,
            &self.policy(thresholds),
            at + since.elapsed(),
        )
    }

    fn state(&self) -> State {
        State {
            status: self.status.map(|code| Status::from_exit_code(code.into())),
            unreachable: self.unreachable,
            hard: self.hard,
            fails: u32::try_from(self.fails).unwrap_or(0),
            flapping: self.flapping.clone(),
        }
    }

    /// The server's settings, and the check's own where it has some.
    fn policy(&self, thresholds: &Thresholds) -> Policy {
        let positive = |value: i32| u32::try_from(value).unwrap_or(1).max(1);
        let own = |value: Option<i32>, general: u32| value.map_or(general, positive);
        let flaps = thresholds.flaps();
        Policy {
            alert_threshold: own(self.alert_threshold, thresholds.alert_threshold),
            interval_s: positive(self.interval_s),
            follow_up_s: positive(self.follow_up_s),
            flaps: FlapPolicy {
                threshold: own(self.flap_threshold, flaps.threshold),
                window_s: own(self.flap_window_s, flaps.window_s),
                ..flaps
            },
        }
    }
}

/// How far each interval's window has been claimed. A worker keeps one; a new one starts at now.
#[derive(Debug, Clone, Default)]
pub struct Cursors {
    ms_by_interval: BTreeMap<i32, Option<i64>>,
    behind_ms: i64,
}

impl Cursors {
    /// Keeps the cursors of intervals that are still in use and begins those of new ones.
    pub fn keep(&mut self, intervals_s: &[i32]) {
        self.ms_by_interval = intervals_s
            .iter()
            .map(|interval_s| {
                (
                    *interval_s,
                    self.ms_by_interval.get(interval_s).copied().flatten(),
                )
            })
            .collect();
    }

    /// Milliseconds from the oldest point of time that it has not passed yet until its last claim.
    #[must_use]
    pub fn behind_ms(&self) -> i64 {
        self.behind_ms
    }
}

/// The intervals in use, in seconds: what [`Cursors::keep`] needs now and then.
///
/// # Errors
/// If the database does not answer.
pub async fn intervals_in_use(pool: &PgPool) -> sqlx::Result<Vec<i32>> {
    sqlx::query_scalar!(
        r#"
        -- a loose index scan: one descent per distinct interval, however many checks there are
        with recursive used as (
            (select interval_s from check_state where not suspended and not removed order by interval_s limit 1)
            union all
            select (select s.interval_s from check_state s
                    where s.interval_s > used.interval_s and not s.suspended and not s.removed
                    order by s.interval_s limit 1)
            from used where used.interval_s is not null)
        select interval_s as "interval_s!" from used where interval_s is not null
        "#
    )
    .fetch_all(pool)
    .await
}

/// Takes up to `free` due checks, each for `lease_s` seconds or its own timeout and [`LEASE_MARGIN_S`] if that is longer, at most `rush` of them from the rush lane.
///
/// `lease` must be new for every call. The cursors move only if the statement succeeded, and only behind what was
/// taken. `pool` may be relaxed, which also looks rows up by key: a claim that a crash of the database forgets is simply made
/// again. A row that somebody edits in the moment of its claim may be missing: then less comes than there is.
///
/// # Errors
/// If the database does not answer; nothing is taken then.
pub async fn claim_due(
    pool: &PgPool,
    cursors: &mut Cursors,
    free: i32,
    rush: i32,
    lease: i64,
    lease_s: i32,
) -> sqlx::Result<Vec<ClaimedCheck>> {
    let intervals: Vec<i32> = cursors.ms_by_interval.keys().copied().collect();
    let reached: Vec<Option<i64>> = cursors.ms_by_interval.values().copied().collect();
    let asked = Instant::now();
    let rows = sqlx::query!(
        r#"
        with clock as materialized (select floor(extract(epoch from now()) * 1000)::bigint as now_ms),
        rush as materialized (  -- off the grid: retries, run now, what the sweep found
            select s.check_id, s.ctid as place from check_state s
            where s.rush_at is not null and s.rush_at <= now() and not s.suspended and not s.removed
              and (s.leased_until is null or s.leased_until < now())
            order by s.rush_at limit least($1::int, $6::int) for no key update skip locked),
        win as materialized (   -- [cursor, now] of each interval as one range of phases, two where it wraps; furthest behind first
            select row_number() over (order by w.from_ms, w.ord, r.part) as pos, w.*, r.base_ms, r.lo::int as lo, r.hi::int as hi
            from (select u.*, c.now_ms, u.interval_s * 1000::bigint as i_ms,
                         greatest(coalesce(u.cursor_ms, c.now_ms - 1000), c.now_ms - u.interval_s * 1000::bigint + 1) as from_ms
                  from clock c, unnest($4::int[], $5::bigint[]) with ordinality as u(interval_s, cursor_ms, ord)) w
            cross join lateral (
                select 1 as part, from_ms - from_ms % i_ms as base_ms, from_ms % i_ms as lo,
                       case when from_ms % i_ms <= now_ms % i_ms then now_ms % i_ms else i_ms - 1 end as hi
                union all
                select 2, now_ms - now_ms % i_ms, 0, now_ms % i_ms where from_ms % i_ms > now_ms % i_ms) r
            order by w.from_ms, w.ord, r.part),
        grid as materialized (
            select g.place, w.pos, w.base_ms + g.phase_ms as at_ms from win w
            cross join lateral (
                select s.ctid as place, s.phase_ms from check_state s
                where s.interval_s = w.interval_s and s.phase_ms between w.lo and w.hi and not s.suspended and not s.removed
                  and s.rush_at is null and s.due_at <= now() and (s.leased_until is null or s.leased_until < now())
                order by s.interval_s, s.phase_ms limit $1::int for no key update skip locked) g
            limit $1::int - (select count(*) from rush)),
        claimed as (            -- by place: by key it would read all versions of a row again, and they are many while somebody holds a snapshot
            update check_state s
            set lease = $2::bigint, leased_until = now() + make_interval(secs => greatest($3::int, s.timeout_s + $7::int)), rush_at = null, room = null
            where s.ctid = any (array(select place from rush union all select place from grid))
            returning s.check_id, s.ctid as place, s.due_at, s.interval_s, s.status, s.unreachable, s.hard, s.fails, s.flips, s.flap_since, s.flap_until),
        cursors as (            -- less than asked: now. Else: behind the last row taken
            select w.ord,
                   case when (select count(*) from rush) + (select count(*) from grid) < $1::int or max(w.pos) < l.pos then max(w.now_ms)
                        when l.pos is null or min(w.pos) > l.pos then min(w.from_ms)
                        else l.at_ms end as c
            from win w left join (select pos, at_ms from grid order by pos desc, at_ms desc limit 1) l on true
            group by w.ord, l.pos, l.at_ms)
        select now() as "claimed_at!", case when row_number() over () = 1 then (select array_agg(c order by ord) from cursors) end as cursor_ms,
               d.check_id as "check_id?", d.place::text as "place?", d.due_at as "due_at?", d.is_rush as "is_rush?", d.interval_s as "interval_s?", d.follow_up_s as "follow_up_s?",
               d.status as "status?", d.unreachable as "unreachable?", d.hard as "hard?", d.fails as "fails?",
               d.name as "name?", d.kind as "kind?", d.priority as "priority?", d.timeout_s as "timeout_s?", d.alert_threshold as "alert_threshold?",
               d.flips as "flips?", d.flap_since as "flap_since?", d.flap_until as "flap_until?", d.flap_threshold as "flap_threshold?", d.flap_window_s as "flap_window_s?",
               d.host_id as "host_id?", d.hostname as "hostname?", d.ip as "ip?", d.port as "port?", d.cert_sha256 as "cert_sha256?",
               d.check_key as "check_key?", d.limits_its_scripts as "limits_its_scripts?"
        from clock left join (
            select c.check_id, c.place, c.due_at, c.check_id in (select check_id from rush) as is_rush, c.interval_s, c.status, c.unreachable, c.hard, c.fails,
                   c.flips, c.flap_since, c.flap_until, k.flap_threshold, k.flap_window_s,
                   k.name, k.kind, k.follow_up_s, k.priority, k.timeout_s, k.alert_threshold,
                   h.host_id, h.hostname, h.ip, h.port, h.cert_sha256, h.check_key, h.agent_version is not null as limits_its_scripts
            from claimed c join checks k using (check_id) join hosts h using (host_id)) d on true
        "#,
        free,
        lease,
        lease_s,
        &intervals,
        &reached as &[Option<i64>],
        rush,
        LEASE_MARGIN_S as i32,
    )
    .fetch_all(pool)
    .await?;

    let reached = rows
        .first()
        .and_then(|row| row.cursor_ms.clone())
        .unwrap_or_default();
    for (cursor, ms) in cursors.ms_by_interval.values_mut().zip(reached) {
        *cursor = Some(ms);
    }
    let now = rows.first().map(|row| row.claimed_at.timestamp_millis());
    let oldest = cursors.ms_by_interval.values().flatten().min();
    let behind = now.zip(oldest).map(|(now, oldest)| now - oldest);
    cursors.behind_ms = behind.unwrap_or(0).max(0);
    // The statement always yields a row, so that the cursors arrive; without a check all else is null.
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            Some(ClaimedCheck {
                check_id: row.check_id?,
                lease,
                place: row.place?,
                due_at: row.due_at?,
                is_rush: row.is_rush?,
                interval_s: row.interval_s?,
                follow_up_s: row.follow_up_s?,
                status: row.status,
                unreachable: row.unreachable?,
                hard: row.hard?,
                fails: row.fails?,
                flapping: Flapping {
                    flips: row.flips?,
                    since: row.flap_since,
                    until: row.flap_until,
                },
                check_name: row.name?,
                kind: row.kind?,
                priority: row.priority?,
                timeout_s: row.timeout_s,
                alert_threshold: row.alert_threshold,
                flap_threshold: row.flap_threshold,
                flap_window_s: row.flap_window_s,
                host_id: row.host_id?,
                hostname: row.hostname?,
                ip: row.ip?,
                port: row.port?,
                cert_sha256: row.cert_sha256,
                check_key: row.check_key,
                limits_its_scripts: row.limits_its_scripts?,
                claimed_at: (row.claimed_at, asked),
            })
        })
        .collect())
}

/// Gives back what was taken and not recorded, so that another worker runs it at once. What the fence no longer
/// covers is left alone.
///
/// # Errors
/// If the database does not answer; the leases run out then.
pub async fn give_back(pool: &PgPool, taken: &[(i64, i64)]) -> sqlx::Result<u64> {
    let (check_ids, leases): (Vec<i64>, Vec<i64>) = taken.iter().copied().unzip();
    let done = sqlx::query!(
        r#"
        with back as materialized (
            select s.check_id from check_state s
            join unnest($1::bigint[], $2::bigint[]) as u(check_id, lease) using (check_id, lease)
            order by s.check_id for no key update of s)
        update check_state
        set lease = null, leased_until = null, rush_at = coalesce(rush_at, now())
        where check_id = any (array(select check_id from back))
        "#,
        &check_ids,
        &leases,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
