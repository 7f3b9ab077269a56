//! Whom an alert would concern under some configuration: asked of the rule itself, in a transaction that is given up.

use sqlx::{PgConnection, PgPool};

use super::Route;
use crate::channels::{self, Channel};

/// An alert that might come.
#[derive(Debug, Clone, Default)]
pub struct Rehearsed {
    /// The host's name; of a cluster its id.
    pub hostname: String,
    /// It is another cluster that cannot be reached.
    pub is_cluster: bool,
    /// Its roles; `None`: those that it has.
    pub roles: Option<Vec<String>>,
    /// The check's name; `None`: the host itself cannot be reached.
    pub check_name: Option<String>,
    /// How the check is probed; `None`: as it is, else `agent`.
    pub kind: Option<String>,
    /// `None`: what it has, else 1.
    pub priority: Option<i16>,
    /// Status code of the check.
    pub status: Option<i16>,
}

/// What is known of it, and whom it would concern.
#[derive(Debug, Clone)]
pub struct Concerned {
    /// The roles of its host; `None` if nobody gave any and no such host is registered: then nothing was asked.
    pub roles: Option<Vec<String>>,
    /// How the check is probed.
    pub kind: String,
    /// 0 is never told.
    pub priority: i16,
    /// By name.
    pub channels: Vec<ConcernedChannel>,
}

/// Somebody who would be told.
#[derive(Debug, Clone)]
pub struct ConcernedChannel {
    /// The channel.
    pub name: String,
    /// By which route.
    pub why: String,
    /// Why nothing is sent there, if it is disabled.
    pub disabled_why: Option<String>,
}

/// Asks whom it would concern if these were the channels and routes. Changes nothing.
///
/// # Errors
/// If the database does not answer, or knows no such kind.
pub async fn rehearse(
    pool: &PgPool,
    alert: &Rehearsed,
    channels: &[Channel],
    routes: &[Route],
) -> sqlx::Result<Concerned> {
    let mut tx = pool.begin().await?;
    if alert.is_cluster {
        channels::put(&mut tx, channels, routes).await?;
        let concerned = Concerned {
            roles: Some(Vec::new()),
            kind: "cluster".to_owned(),
            priority: alert.priority.unwrap_or(1),
            channels: of_cluster(&mut tx, alert).await?,
        };
        tx.rollback().await?;
        return Ok(concerned);
    }
    let known = sqlx::query!(
        r#"
        select h.roles as "roles?", coalesce($3::text, k.kind, 'agent') as "kind!",
               coalesce($4::smallint, case
                   when $2::text is not null then k.priority
                   -- a host's alert is as urgent as the most urgent of its checks
                   when h.host_id is not null then coalesce((
                       select min(o.priority) from checks o join check_state s using (check_id)
                       where o.host_id = h.host_id and o.priority > 0 and not s.removed and not s.suspended), 0::smallint)
               end, 1::smallint) as "priority!"
        from (select) as one
        left join hosts h on h.hostname = $1
        left join checks k on k.host_id = h.host_id and k.name = $2 and k.removed_at is null
        "#,
        alert.hostname,
        alert.check_name.as_deref(),
        alert.kind.as_deref(),
        alert.priority,
    )
    .fetch_one(&mut *tx)
    .await?;
    let mut concerned = Concerned {
        roles: alert.roles.clone().or(known.roles),
        kind: known.kind,
        priority: known.priority,
        channels: Vec::new(),
    };
    let Some(roles) = &concerned.roles else {
        return Ok(concerned);
    };
    channels::put(&mut tx, channels, routes).await?;
    // a host and a check that look as wished, beside the real ones
    let stand_in = sqlx::query!(
        r#"
        with host as (insert into hosts (hostname, ip, roles) values (gen_random_uuid()::text, '', $1) returning host_id)
        insert into checks (host_id, name, kind, declared_interval_s, declared_follow_up_s) select host_id, 'rehearsed', $2, 60, 60 from host
        returning host_id, check_id
        "#,
        roles,
        concerned.kind,
    )
    .fetch_one(&mut *tx)
    .await?;
    concerned.channels = sqlx::query_as!(
        ConcernedChannel,
        r#"
        select r.channel as "name!", r.why as "why!", c.disabled_why
        from routed(jsonb_populate_record(null::alerts, jsonb_build_object(
                 'kind', case when $4::text is null then 'host' else 'check' end, 'host_id', $1::bigint,
                 'check_id', case when $4 is not null then $2::bigint end, 'hostname', $3::text, 'check_name', coalesce($4, ''),
                 'priority', $5::smallint, 'status', $6::smallint))) r
        join channels c on c.name = r.channel
        order by r.channel
        "#,
        stand_in.host_id,
        stand_in.check_id,
        alert.hostname,
        alert.check_name.as_deref(),
        concerned.priority,
        alert.status,
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.rollback().await?;
    Ok(concerned)
}

async fn of_cluster(
    conn: &mut PgConnection,
    alert: &Rehearsed,
) -> sqlx::Result<Vec<ConcernedChannel>> {
    sqlx::query_as!(
        ConcernedChannel,
        r#"
        select r.channel as "name!", r.why as "why!", c.disabled_why
        from routed(jsonb_populate_record(null::alerts, jsonb_build_object(
                 'kind', 'cluster', 'hostname', $1::text, 'check_name', '', 'priority', coalesce($2::smallint, 1)))) r
        join channels c on c.name = r.channel
        order by r.channel
        "#,
        alert.hostname,
        alert.priority,
    )
    .fetch_all(conn)
    .await
}
