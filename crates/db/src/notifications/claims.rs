//! Taking what is owed, in order to send it.

use sqlx::PgPool;

use super::{ClaimedNotification, Rate, SecretIds};

/// Takes up to `free` notifications that are due on this channel, for `lease_s` seconds, and counts an attempt
/// of each: one at a time per channel and key, in the order of their ids; no trigger or repeat of an alert that is
/// closed or suppressed, and nothing of a disabled channel; no more than `rate` allows. What was told with another secret
/// than today's is told with that again; one that is not known may be known to another worker, which has a minute to come.
///
/// # Errors
/// If the database does not answer; nothing is taken then.
pub async fn claim_due(
    pool: &PgPool,
    channel: &str,
    secret_ids: &SecretIds,
    rate: Option<&Rate>,
    free: i64,
    lease: i64,
    lease_s: i32,
) -> sqlx::Result<Vec<ClaimedNotification>> {
    sqlx::query_as!(
        ClaimedNotification,
        r#"
        with due as materialized (
            select n.notification_id, n.next_attempt_at,
                   coalesce(told.secret_id, ($6::text[])[greatest(1, least(a.priority, 2))]) as secret_id
            from notifications n join alerts a using (alert_id)
            cross join lateral (select told_with(n.alert_id, n.channel) as secret_id) as told
            where n.state = 'pending' and not n.is_held and n.next_attempt_at <= now() and n.channel = $1
              and not exists (select from channels c where c.name = $1 and c.disabled_at is not null)
              and not exists (
                select from notifications before
                where before.channel = n.channel and before.dedup_key = n.dedup_key
                  and before.state in ('pending', 'sending')
                  -- an earlier episode first: with stable keys its resolve may have been owed after this trigger
                  and (before.alert_id, before.notification_id) < (n.alert_id, n.notification_id))
              and (n.kind = 'resolve'
                or (a.closed_at is null and exists (select from suppression_of(a) as suppressed where suppressed.reason is null)
                    and exists (select from alert_targets t where t.alert_id = n.alert_id and t.channel = n.channel)))
              and (n.created_at < now() - interval '1 minute' or told.secret_id is null or told.secret_id = any ($5::text[]))
            order by n.next_attempt_at, n.notification_id
            limit $2 for no key update of n skip locked),
        -- receivers count the messages of each key
        allowed as materialized (
            select secret_id, case when $7::text is null then n
                                   else take_tokens(concat_ws(' ', $7, secret_id), n, $8::double precision, $9::double precision) end as n
            from (select secret_id, count(*) as n from due group by secret_id order by secret_id) as wanted),
        chosen as (
            select placed.notification_id, placed.secret_id
            from (select *, row_number() over (partition by secret_id order by next_attempt_at, notification_id) as place from due) as placed
            join allowed on allowed.secret_id is not distinct from placed.secret_id
            where placed.place <= allowed.n),
        claimed as (
            update notifications n
            set state = 'sending', attempts = attempts + 1, lease = $3::bigint, leased_until = now() + make_interval(secs => $4::int),
                secret_id = chosen.secret_id
            from chosen where n.notification_id = chosen.notification_id
            returning n.*),
        counted as (
            insert into attempts (notification_id, n) select notification_id, attempts from claimed)
        select c.notification_id, c.lease as "lease!", c.channel, c.kind, c.dedup_key, c.attempts as attempt,
               a.check_id, a.hostname, a.ip, a.check_name, a.priority, a.status, a.fails, a.out,
               a.opened_at, a.closed_at, a.close_reason,
               exists (select from notifications x
                       where x.alert_id = c.alert_id and x.channel = c.channel and x.kind <> 'resolve' and x.state = 'accepted') as "is_known!",
               a.is_of_flapping, c.secret_id, a.kind as alert_kind, m.members as "members!", m.names as "member_names!",
               coalesce((select s.owner from check_state s where s.check_id = a.check_id), '') as "owner!",
               c.may_have_arrived as is_possible_repeat, c.created_at, now() as "claimed_at!", c.expires_at, c.reason as last_failure,
               (select h.reason from suppressions h where h.alert_id = a.alert_id and h.ended_at is not null
                order by h.began_at desc limit 1) as held_for
        from claimed c join alerts a using (alert_id)
        cross join lateral (
            select count(*) as members, coalesce((array_agg(m.name order by m.alert_id))[:20], '{}') as names
            from (select m.alert_id, concat_ws(' on ', nullif(case m.kind when 'flood' then 'a flood' else m.check_name end, ''), m.hostname) as name
                  from alerts m join alert_targets t on t.alert_id = m.alert_id and t.channel = c.channel
                  where a.kind = 'flood' and m.parent_id = a.alert_id and m.closed_at is null) as m) as m
        order by c.notification_id
        "#,
        channel,
        free,
        lease,
        lease_s,
        &secret_ids.known,
        &secret_ids.of_today as &[Option<String>],
        rate.map(|rate| rate.key.as_str()),
        rate.map(|rate| rate.per_s),
        rate.map(|rate| rate.burst),
    )
    .fetch_all(pool)
    .await
}

/// Gives back what was taken and not begun: its attempt was counted, and did not take place.
///
/// # Errors
/// If the database does not answer; the leases run out then.
pub async fn give_back(pool: &PgPool, taken: &[(i64, i64)]) -> sqlx::Result<()> {
    let (ids, leases): (Vec<i64>, Vec<i64>) = taken.iter().copied().unzip();
    sqlx::query!(
        r#"
        with back as (
            update notifications n
            set state = 'pending', attempts = n.attempts - 1, lease = null, leased_until = null
            from (select * from unnest($1::bigint[], $2::bigint[]) as u(notification_id, lease) order by u.notification_id) t
            where n.notification_id = t.notification_id and n.lease = t.lease and n.state = 'sending'
            returning n.notification_id, n.attempts + 1 as attempt)
        delete from attempts a using back b where a.notification_id = b.notification_id and a.n = b.attempt
        "#,
        &ids,
        &leases,
    )
    .execute(pool)
    .await?;
    Ok(())
}
