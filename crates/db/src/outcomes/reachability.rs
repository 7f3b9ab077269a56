//! What a batch says about hosts: the certificate that an agent showed first, and how often in a row it could not be
//! reached.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use stalker_domain::flapping::Flapping;
use stalker_domain::outcome::Verdict;
use stalker_domain::thresholds::Thresholds;

use super::Run;
use crate::alerts::{DownHost, int};

/// Locks the hosts that may be written, in the order of ids and at once: those that could not be reached or showed their
/// first certificate, and those that answered after they could not be reached. In health this reads one empty index.
pub(super) async fn lock_hosts(conn: &mut PgConnection, runs: &[&Run]) -> sqlx::Result<Vec<Host>> {
    let (written, answered): (Vec<&&Run>, Vec<&&Run>) = runs.iter().partition(|run| {
        run.outcome.verdict == Verdict::Unreachable || run.first_seen_cert_sha256.is_some()
    });
    let ids = |runs: Vec<&&Run>| -> Vec<i64> { runs.iter().map(|run| run.check.host_id).collect() };
    sqlx::query_as!(
        Host,
        r#"
        select host_id, flips, flap_since, flap_until, unreachable_since is not null as "is_unreachable!", now() as "now!" from hosts
        where host_id = any ($1) or (host_id = any ($2) and unreachable_since is not null)
        order by host_id for no key update
        "#,
        &ids(written),
        &ids(answered),
    )
    .fetch_all(conn)
    .await
}

/// Trust on first use (decision 10): an agent that registered no fingerprint keeps the certificate it showed first.
pub(super) async fn pin_first_seen(conn: &mut PgConnection, runs: &[&Run]) -> sqlx::Result<()> {
    let seen: BTreeMap<i64, &str> = runs
        .iter()
        .filter_map(|run| Some((run.check.host_id, run.first_seen_cert_sha256.as_deref()?)))
        .collect();
    if seen.is_empty() {
        return Ok(());
    }
    let host_ids: Vec<i64> = seen.keys().copied().collect();
    let pins: Vec<&str> = seen.values().copied().collect();
    sqlx::query!(
        r#"
        with s as (
            select h.host_id, u.pin from unnest($1::bigint[], $2::text[]) as u(host_id, pin) join hosts h using (host_id)
            where h.cert_sha256 is null order by h.host_id for no key update of h)
        update hosts h set cert_sha256 = s.pin, cert_origin = 'first_seen' from s where h.host_id = s.host_id
        "#,
        &host_ids,
        &pins as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What a batch means for the alerts of hosts.
#[derive(Debug, Default)]
pub(super) struct HostChanges<'a> {
    pub(super) down: Vec<DownHost<'a>>,
    pub(super) back: Vec<i64>,
    /// A host that was counted as unreachable is not any more.
    answered: bool,
}

impl HostChanges<'_> {
    /// Something that must survive a crash.
    pub(super) fn is_telling(&self) -> bool {
        self.answered || !self.down.is_empty()
    }
}

/// Counts, per locked host, the outcomes in a row in which its agent could not be reached; an answer ends the count. From
/// one to the other is a flip of the host.
pub(super) async fn record_reachability<'a>(
    conn: &mut PgConnection,
    mut hosts: Vec<Host>,
    runs: &[&'a Run],
    thresholds: &Thresholds,
) -> sqlx::Result<HostChanges<'a>> {
    let mut changes = HostChanges::default();
    if hosts.is_empty() {
        return Ok(changes);
    }
    let said = said(runs);

    let mut back = Vec::new();
    for host in &mut hosts {
        if said[&host.host_id].answered && host.is_unreachable {
            host.is_unreachable = false;
            host.flip(thresholds);
            back.push(Written::flipped(host, 0));
        }
    }
    if !back.is_empty() {
        write(conn, &back).await?;
        changes.answered = true;
        changes.back = back
            .iter()
            .filter(|written| !written.host.flapping().is_on(written.host.now))
            .map(|written| written.host.host_id)
            .collect();
    }

    let mut gone = Vec::new();
    for host in &mut hosts {
        let said = &said[&host.host_id];
        // A run that began before the host came back says nothing of now, however late it ends: else every return would
        // be a row of flips.
        let is_old = || {
            host.flips
                .last()
                .is_some_and(|&back| said.claimed_at <= Some(back))
        };
        if said.unreachable == 0 || (!host.is_unreachable && is_old()) {
            continue;
        }
        gone.push(if host.is_unreachable {
            Written::counted(host, said.unreachable)
        } else {
            host.flip(thresholds);
            Written::flipped(host, said.unreachable)
        });
    }
    if gone.is_empty() {
        return Ok(changes);
    }
    write(conn, &gone).await?;
    let host_ids: Vec<i64> = gone.iter().map(|written| written.host.host_id).collect();
    let down = sqlx::query_scalar!(
        r#"
        select h.host_id from hosts h
        where h.host_id = any ($1)
          and h.unreachable_count >= $2 and h.unreachable_since <= now() - make_interval(secs => $3::int)
          -- `limit`, for a join could read all that is open for each
          and (select true from alerts a where a.host_id = h.host_id and a.kind = 'host' and a.closed_at is null limit 1) is null
        "#,
        &host_ids,
        int(thresholds.alert_threshold),
        int(thresholds.host_down_after_s),
    )
    .fetch_all(conn)
    .await?;
    for Written { host, flip, .. } in &gone {
        let is_of_flapping =
            flip.is_some() && host.flapping().is_long(host.now, &thresholds.flaps());
        if is_of_flapping || down.contains(&host.host_id) {
            changes.down.push(DownHost {
                host_id: host.host_id,
                out: said[&host.host_id].why,
                is_of_flapping,
            });
        }
    }
    Ok(changes)
}

/// Of one host, in the order of arrival: whether anything was answered, and what came after the last answer.
#[derive(Default)]
struct Said<'a> {
    answered: bool,
    unreachable: i32,
    /// When the last of these runs was claimed.
    claimed_at: Option<DateTime<Utc>>,
    why: &'a str,
}

fn said<'a>(runs: &[&'a Run]) -> BTreeMap<i64, Said<'a>> {
    let mut said: BTreeMap<i64, Said<'_>> = BTreeMap::new();
    for run in runs {
        let host = said.entry(run.check.host_id).or_default();
        match run.outcome.verdict {
            Verdict::Answered(_) => (host.answered, host.unreachable) = (true, 0),
            Verdict::Unreachable => {
                host.unreachable += 1;
                host.claimed_at = host.claimed_at.max(Some(run.check.claimed_at.0));
                host.why = run.outcome.output.first_line();
            }
        }
    }
    said
}

/// A host whose row is locked, with what is remembered of its flips.
#[derive(Clone)]
pub(super) struct Host {
    host_id: i64,
    flips: Vec<DateTime<Utc>>,
    flap_since: Option<DateTime<Utc>>,
    flap_until: Option<DateTime<Utc>>,
    is_unreachable: bool,
    now: DateTime<Utc>,
}

impl Host {
    fn flapping(&self) -> Flapping {
        Flapping {
            flips: self.flips.clone(),
            since: self.flap_since,
            until: self.flap_until,
        }
    }

    fn flip(&mut self, thresholds: &Thresholds) {
        let flapping = self.flapping().flip(self.now, &thresholds.flaps());
        self.flips = flapping.flips;
        self.flap_since = flapping.since;
        self.flap_until = flapping.until;
    }
}

/// What is to be written of a host.
struct Written {
    host: Host,
    /// Further unreachable outcomes; 0 ends the count.
    count: i32,
    flip: Option<DateTime<Utc>>,
}

impl Written {
    fn counted(host: &Host, count: i32) -> Self {
        Self {
            host: host.clone(),
            count,
            flip: None,
        }
    }

    fn flipped(host: &Host, count: i32) -> Self {
        Self {
            flip: Some(host.now),
            ..Self::counted(host, count)
        }
    }
}

async fn write(conn: &mut PgConnection, written: &[Written]) -> sqlx::Result<()> {
    let hosts = || written.iter().map(|written| &written.host);
    let host_ids: Vec<i64> = hosts().map(|host| host.host_id).collect();
    let counts: Vec<i32> = written.iter().map(|written| written.count).collect();
    let flips: Vec<Option<DateTime<Utc>>> = written.iter().map(|written| written.flip).collect();
    let kept: Vec<i32> = hosts()
        .map(|host| i32::try_from(host.flips.len()).unwrap_or(i32::MAX))
        .collect();
    let since: Vec<Option<DateTime<Utc>>> = hosts().map(|host| host.flap_since).collect();
    let until: Vec<Option<DateTime<Utc>>> = hosts().map(|host| host.flap_until).collect();
    sqlx::query!(
        r#"
        update hosts h
        set unreachable_count = case when u.count = 0 then 0 else h.unreachable_count + u.count end,
            unreachable_since = case when u.count > 0 then coalesce(h.unreachable_since, now()) end,
            flips = case when u.flip is null then h.flips else (h.flips || u.flip)[cardinality(h.flips) + 2 - u.kept :] end,
            flap_since = u.flap_since, flap_until = u.flap_until
        from unnest($1::bigint[], $2::int[], $3::timestamptz[], $4::int[], $5::timestamptz[], $6::timestamptz[])
            as u(host_id, count, flip, kept, flap_since, flap_until)
        where h.host_id = u.host_id
        "#,
        &host_ids,
        &counts,
        &flips as &[Option<DateTime<Utc>>],
        &kept,
        &since as &[Option<DateTime<Utc>>],
        &until as &[Option<DateTime<Utc>>],
    )
    .execute(conn)
    .await?;
    Ok(())
}
