//! What a batch says about hosts: the certificate that an agent showed first, and how often in a row it could not be
//! reached.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use stalker_domain::outcome::Verdict;

use super::{HostPolicy, Run};
use crate::alerts;

/// Locks the hosts that the next statements may write, in the order of ids.
pub(super) async fn lock_hosts(conn: &mut PgConnection, runs: &[&Run]) -> sqlx::Result<()> {
    let (written, answered): (Vec<&&Run>, Vec<&&Run>) = runs.iter().partition(|run| {
        run.outcome.verdict == Verdict::Unreachable || run.first_seen_cert_sha256.is_some()
    });
    let ids = |runs: Vec<&&Run>| -> Vec<i64> { runs.iter().map(|run| run.check.host_id).collect() };
    if !written.is_empty() {
        sqlx::query!(
            r#"
            select host_id from hosts
            where host_id = any ($1) or (host_id = any ($2) and unreachable_since is not null)
            order by host_id for no key update
            "#,
            &ids(written),
            &ids(answered),
        )
        .fetch_all(conn)
        .await?;
    }
    Ok(())
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

/// Counts, per host, the outcomes in a row in which its agent could not be reached; an answer ends the count. The
/// host's alert opens and closes here: true if one may have. In health this reads one empty index.
pub(super) async fn record_reachability(
    conn: &mut PgConnection,
    runs: &[&Run],
    policy: HostPolicy,
) -> sqlx::Result<bool> {
    // per host, in the order of arrival: whether anything was answered, and what came after the last answer
    #[derive(Default)]
    struct Host<'a> {
        answered: bool,
        unreachable: i32,
        why: &'a str,
    }
    let mut hosts: BTreeMap<i64, Host<'_>> = BTreeMap::new();
    for run in runs {
        let host = hosts.entry(run.check.host_id).or_default();
        match run.outcome.verdict {
            Verdict::Answered(_) => (host.answered, host.unreachable) = (true, 0),
            Verdict::Unreachable => {
                host.unreachable += 1;
                host.why = run.outcome.output.first_line();
            }
        }
    }
    let answered: Vec<i64> = hosts
        .iter()
        .filter(|(_, host)| host.answered)
        .map(|(host_id, _)| *host_id)
        .collect();
    let returned = sqlx::query_scalar!(
        r#"
        with back as materialized (
            select host_id from hosts where host_id = any ($1) and unreachable_since is not null order by host_id for no key update)
        update hosts set unreachable_count = 0, unreachable_since = null
        where host_id = any (array(select host_id from back))
        returning host_id
        "#,
        &answered,
    )
    .fetch_all(&mut *conn)
    .await?;

    let (unreachable, counts): (Vec<i64>, Vec<i32>) = hosts
        .iter()
        .filter(|(_, host)| host.unreachable > 0)
        .map(|(host_id, host)| (*host_id, host.unreachable))
        .unzip();
    let mut down = Vec::new();
    if !unreachable.is_empty() {
        down = sqlx::query_scalar!(
            r#"
            with counted as (
                update hosts h
                set unreachable_count = h.unreachable_count + n.count, unreachable_since = coalesce(h.unreachable_since, now())
                from unnest($1::bigint[], $2::int[]) as n(host_id, count)
                where h.host_id = n.host_id
                returning h.host_id, h.unreachable_count, h.unreachable_since)
            select c.host_id from counted c
            where c.unreachable_count >= $3 and c.unreachable_since <= now() - make_interval(secs => $4::int)
              and not exists (select from alerts a where a.host_id = c.host_id and a.kind = 'host' and a.closed_at is null)
            "#,
            &unreachable,
            &counts,
            policy.alert_threshold,
            policy.host_down_after_s,
        )
        .fetch_all(&mut *conn)
        .await?;
    }
    if !returned.is_empty() {
        alerts::close_of_hosts(conn, &returned, "answered").await?;
    }
    if !down.is_empty() {
        let why: Vec<&str> = down.iter().map(|host_id| hosts[host_id].why).collect();
        alerts::open_of_hosts(conn, &down, &why).await?;
    }
    Ok(!returned.is_empty() || !down.is_empty())
}
