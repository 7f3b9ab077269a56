//! Other clusters as the schedulers found them, and the alert of one that cannot be reached. Such an alert stands outside of
//! floods: a hundred failing checks here are no reason to keep quiet about a cluster that nobody watches any more.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use crate::alerts::{int, settle_and_owe};
use crate::routes;

/// What came of asking a cluster.
#[derive(Debug, Clone)]
pub struct Observation {
    /// Its id.
    pub cluster: String,
    /// It answered as one of its kind, even if only to refuse our key.
    pub is_reached: bool,
    /// What was wrong: why it was not reached, or with what it said.
    pub error: Option<String>,
}

/// A cluster as it was found last.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Its id.
    pub cluster: String,
    /// When it last answered.
    pub answered_at: Option<DateTime<Utc>>,
    /// Since when it does not.
    pub failing_since: Option<DateTime<Utc>>,
    /// What was wrong when it was last asked.
    pub error: Option<String>,
}

/// What [`observe`] has changed: ids of clusters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Their alert has opened.
    pub opened: Vec<String>,
    /// Their alert has closed.
    pub closed: Vec<String>,
}

/// How the clusters were found, by their ids.
///
/// # Errors
/// If the database does not answer.
pub async fn list(pool: &PgPool) -> sqlx::Result<Vec<Cluster>> {
    sqlx::query_as!(
        Cluster,
        r#"
        select cluster, answered_at, failing_since,
               case when asked_at < now() - interval '1 min' then 'no scheduler has asked it since ' || utc(asked_at) else error end as error
        from clusters order by cluster
        "#
    )
    .fetch_all(pool)
    .await
}

/// Writes down how clusters were found. One that has not been reached for `down_after_s` seconds, and was asked all the time, has
/// an open alert; one that was reached, or that no scheduler has asked for ten minutes, has none.
///
/// Locks, in this order: rows of `clusters`, which nothing else writes; alerts; notifications.
///
/// # Errors
/// If the database does not answer; nothing is changed then.
pub async fn observe(
    pool: &PgPool,
    observations: &[Observation],
    down_after_s: u32,
) -> sqlx::Result<Changes> {
    let mut tx = pool.begin().await?;
    note(&mut tx, observations).await?;
    // all of them, in the order of ids, before any is written
    sqlx::query!("select alert_id from alerts where kind = 'cluster' and closed_at is null order by alert_id for no key update")
        .fetch_all(&mut *tx)
        .await?;
    let closed = close(&mut tx).await?;
    let opened = open(&mut tx, down_after_s).await?;
    let ids = |alerts: &[Affected]| {
        alerts
            .iter()
            .map(|alert| alert.alert_id)
            .collect::<Vec<_>>()
    };
    routes::target(&mut tx, &ids(&opened)).await?;
    let mut touched = ids(&closed);
    touched.extend(ids(&opened));
    settle_and_owe(&mut tx, &touched).await?;
    tx.commit().await?;
    let names = |alerts: Vec<Affected>| alerts.into_iter().map(|alert| alert.cluster).collect();
    Ok(Changes {
        opened: names(opened),
        closed: names(closed),
    })
}

/// In the order of their ids, so that two schedulers do not wait for each other. What is not configured any more is forgotten
/// once nobody asks it.
async fn note(conn: &mut PgConnection, observations: &[Observation]) -> sqlx::Result<()> {
    let clusters: Vec<&str> = observations.iter().map(|o| o.cluster.as_str()).collect();
    let reached: Vec<bool> = observations.iter().map(|o| o.is_reached).collect();
    let errors: Vec<Option<&str>> = observations.iter().map(|o| o.error.as_deref()).collect();
    sqlx::query!(
        r#"
        insert into clusters as c (cluster, answered_at, failing_since, error)
        select o.cluster, case when o.is_reached then now() end, case when o.is_reached then null else now() end, o.error
        from unnest($1::text[], $2::bool[], $3::text[]) as o(cluster, is_reached, error)
        order by o.cluster
        on conflict (cluster) do update
        set asked_at = now(), error = excluded.error, answered_at = coalesce(excluded.answered_at, c.answered_at),
            failing_since = case when excluded.failing_since is null then null
                                 -- while nobody asked it may have been there
                                 when c.asked_at < now() - interval '30 s' then now()
                                 else coalesce(c.failing_since, now()) end
        "#,
        &clusters as &[&str],
        &reached,
        &errors as &[Option<&str>],
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("delete from clusters where asked_at < now() - interval '10 min'")
        .execute(conn)
        .await?;
    Ok(())
}

/// An alert that has opened or closed.
struct Affected {
    alert_id: i64,
    cluster: String,
}

async fn open(conn: &mut PgConnection, down_after_s: u32) -> sqlx::Result<Vec<Affected>> {
    sqlx::query_as!(
        Affected,
        r#"
        insert into alerts (kind, hostname, priority, out)
        select 'cluster', c.cluster, 1, coalesce(c.error, '') from clusters c
        where c.failing_since <= now() - make_interval(secs => $1::integer)
        order by c.cluster
        on conflict (hostname) where kind = 'cluster' and closed_at is null do nothing
        returning alert_id, hostname as cluster
        "#,
        int(down_after_s),
    )
    .fetch_all(conn)
    .await
}

async fn close(conn: &mut PgConnection) -> sqlx::Result<Vec<Affected>> {
    sqlx::query_as!(
        Affected,
        r#"
        update alerts a
        set closed_at = now(),
            close_reason = case when exists (select from clusters c where c.cluster = a.hostname) then 'answered' else 'not configured' end
        where a.kind = 'cluster' and a.closed_at is null
          and not exists (select from clusters c where c.cluster = a.hostname and c.failing_since is not null)
        returning a.alert_id, a.hostname as cluster
        "#
    )
    .fetch_all(conn)
    .await
}
