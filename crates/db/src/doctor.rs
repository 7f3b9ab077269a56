//! What must be true of the tables when all is well, one question each. Each only reads, in one statement, so that it
//! sees what transactions leave behind and never the middle of one.
//!
//! What takes a moment to be put right (a lease that just ran out, a flood that is just over) shows for a moment: ask
//! again after two seconds, and believe what is there both times.

use sqlx::{ConnectOptions, Connection, PgPool};

/// Something that is not as it must be.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Of what: the same when asked again.
    pub id: i64,
    /// What is wrong with it, in words.
    pub what: String,
}

/// Opens a connection beside the pool's, and closes it: the pool would try for as long as it may, and then only say
/// that this took too long.
///
/// # Errors
/// Why there is none.
pub async fn answer(pool: &PgPool) -> sqlx::Result<()> {
    pool.connect_options().connect().await?.close().await
}

/// Where the database of a pool is: `host:port`, or the path of its socket.
#[must_use]
pub fn place(pool: &PgPool) -> String {
    let options = pool.connect_options();
    let (host, port) = (options.get_host(), options.get_port());
    match options.get_socket() {
        Some(folder) => format!("{}/.s.PGSQL.{port}", folder.display()),
        None if host.starts_with('/') => format!("{host}/.s.PGSQL.{port}"),
        None => format!("{host}:{port}"),
    }
}

/// As many findings of a question are told; what comes first is as telling as what comes after.
const MOST: i64 = 100;

/// Notifications that nobody has accepted yet: owed by the rule, waiting, or being sent. Not wrong in itself.
///
/// # Errors
/// If the database does not answer.
pub async fn owed(pool: &PgPool) -> sqlx::Result<Vec<Finding>> {
    sqlx::query_as!(
        Finding,
        r#"
        select alert_id as "id!", what as "what!" from (
            select o.alert_id, format('alert %s, %s: %s %s is owed, and not written down yet', o.alert_id, o.channel, o.kind, o.n) as what from owed o
            union all
            select n.alert_id, format('alert %s, %s: %s %s is %s after %s attempts%s', n.alert_id, n.channel, n.kind, n.n, n.state, n.attempts,
                          coalesce(': ' || n.reason, ''))
            from notifications n where n.state in ('pending', 'sending')) as owing
        order by alert_id, what limit $1
        "#,
        MOST,
    )
    .fetch_all(pool)
    .await
}

/// Dead letters that another try could still deliver. Not wrong in themselves: their fallback was told.
///
/// # Errors
/// If the database does not answer.
pub async fn dead_letters(pool: &PgPool) -> sqlx::Result<Vec<Finding>> {
    sqlx::query_as!(
        Finding,
        r#"
        select notification_id as "id!", format('notification %s of alert %s, %s: %s %s was refused at %s%s', notification_id, alert_id, channel,
                      kind, n, utc(settled_at), coalesce(': ' || reason, '')) as "what!"
        from dead_letters
        order by notification_id limit $1
        "#,
        MOST,
    )
    .fetch_all(pool)
    .await
}

/// Channels that are configured and disabled: nothing is sent there.
///
/// # Errors
/// If the database does not answer.
pub async fn disabled_channels(pool: &PgPool) -> sqlx::Result<Vec<Finding>> {
    sqlx::query_as!(
        Finding,
        r#"
        select hashtext(name)::bigint as "id!", format('channel %s is disabled since %s: %s%s', name, utc(disabled_at), disabled_why,
                      coalesce('; its fallback is ' || fallback, '; it has no fallback')) as "what!"
        from channels
        where disabled_at is not null and retired_at is null
        order by name limit $1
        "#,
        MOST,
    )
    .fetch_all(pool)
    .await
}

/// Checks whose lease ran out a minute ago and was taken over by nobody, or lasts longer than the `longest_s` seconds
/// that any run may take: no other worker would take such a check over.
///
/// # Errors
/// If the database does not answer.
pub async fn old_leases_of_checks(pool: &PgPool, longest_s: i32) -> sqlx::Result<Vec<Finding>> {
    sqlx::query_as!(
        Finding,
        r#"
        select s.check_id as id, format('check %s is leased until %s', s.check_id, utc(s.leased_until)) as "what!"
        from check_state s
        where not s.suspended and not s.removed
          and (s.leased_until < now() - interval '1 min' or s.leased_until > now() + make_interval(secs => $2::int))
        order by s.check_id limit $1
        "#,
        MOST,
        longest_s,
    )
    .fetch_all(pool)
    .await
}

/// As [`old_leases_of_checks`], of notifications.
///
/// # Errors
/// If the database does not answer.
pub async fn old_leases_of_notifications(
    pool: &PgPool,
    longest_s: i32,
) -> sqlx::Result<Vec<Finding>> {
    sqlx::query_as!(
        Finding,
        r#"
        select n.notification_id as id,
               format('notification %s of alert %s is leased until %s', n.notification_id, n.alert_id, utc(n.leased_until)) as "what!"
        from notifications n
        where n.state = 'sending' and n.state in ('pending', 'sending')
          and (n.leased_until < now() - interval '1 min' or n.leased_until > now() + make_interval(secs => $2::int))
        order by n.notification_id limit $1
        "#,
        MOST,
        longest_s,
    )
    .fetch_all(pool)
    .await
}

/// Checks that are hard without an open alert, and the other way round. A run writes both in one transaction.
///
/// # Errors
/// If the database does not answer.
pub async fn hard_without_alert(pool: &PgPool) -> sqlx::Result<Vec<Finding>> {
    sqlx::query_as!(
        Finding,
        r#"
        -- as rows lie: in the order of keys all their versions would be read, when somebody's snapshot has kept them
        with hard as materialized (select check_id from check_state where hard and not removed),
        open as materialized (select check_id, alert_id from alerts where kind = 'check' and closed_at is null)
        select check_id as "id!", format('check %s is hard and has no open alert', check_id) as "what!"
        from hard where check_id not in (select check_id from open where check_id is not null)
        union all
        select check_id, format('check %s is not hard and has the open alert %s', check_id, alert_id)
        from open join check_state s using (check_id) where not s.hard and not s.removed
        order by 1 limit $1
        "#,
        MOST,
    )
    .fetch_all(pool)
    .await
}

/// Clusters with which something is wrong that their alert does not tell: they answer, and our key is refused, or what they say
/// cannot be read.
///
/// # Errors
/// If the database does not answer.
pub async fn clusters_in_trouble(pool: &PgPool) -> sqlx::Result<Vec<Finding>> {
    sqlx::query_as!(
        Finding,
        r#"
        select hashtext(cluster)::bigint as "id!", format('cluster %s: %s', cluster, error) as "what!" from clusters
        where error is not null and failing_since is null and asked_at > now() - interval '1 min'
        order by cluster limit $1
        "#,
        MOST,
    )
    .fetch_all(pool)
    .await
}

/// Open alerts of checks, hosts and clusters that are removed or gone: nothing would ever close them.
///
/// # Errors
/// If the database does not answer.
pub async fn alerts_without_state(pool: &PgPool) -> sqlx::Result<Vec<Finding>> {
    sqlx::query_as!(
        Finding,
        r#"
        select a.alert_id as id,
               case a.kind when 'check' then format('alert %s is open, and its check %s on %s is removed', a.alert_id, a.check_name, a.hostname)
                           when 'cluster' then format('alert %s is open, and its cluster %s is not configured', a.alert_id, a.hostname)
                           else format('alert %s is open, and its host %s is removed', a.alert_id, a.hostname) end as "what!"
        from alerts a
        where a.closed_at is null and not a.is_settled and case a.kind
              when 'check' then not exists (select from check_state s where s.check_id = a.check_id and not s.removed)
              when 'host' then not exists (select from hosts h where h.host_id = a.host_id)
              when 'cluster' then not exists (select from clusters c where c.cluster = a.hostname)
              -- a flood ends by itself
              else false end
        order by a.alert_id limit $1
        "#,
        MOST,
    )
    .fetch_all(pool)
    .await
}

/// Resolves that nobody has accepted although their alert closed more than a minute ago: an incident that is over is
/// shown as open. Disabled channels are another question.
///
/// # Errors
/// If the database does not answer.
pub async fn late_resolves(pool: &PgPool) -> sqlx::Result<Vec<Finding>> {
    sqlx::query_as!(
        Finding,
        r#"
        select a.alert_id as "id!", format('alert %s closed at %s, and %s was not told: %s', a.alert_id, utc(a.closed_at), late.channel, late.why) as "what!"
        from alerts a join (
            select o.alert_id, o.channel, 'the resolve is not written down' as why from owed o where o.kind = 'resolve'
            union all
            select n.alert_id, n.channel, format('%s attempts%s', n.attempts, coalesce(', ' || n.reason, ''))
            from notifications n where n.kind = 'resolve' and n.state in ('pending', 'sending')) as late using (alert_id)
        join channels c on c.name = late.channel and c.disabled_at is null
        where a.closed_at < now() - interval '1 min'
        order by a.alert_id, late.channel limit $1
        "#,
        MOST,
    )
    .fetch_all(pool)
    .await
}

/// Notifications that should have been taken a minute ago: not suppressed, behind no other of their key, and not in the
/// queue of a channel that takes what its rate allows. Disabled channels are another question.
///
/// # Errors
/// If the database does not answer.
pub async fn untaken(pool: &PgPool) -> sqlx::Result<Vec<Finding>> {
    sqlx::query_as!(
        Finding,
        r#"
        select n.notification_id as id, format('notification %s of alert %s is due since %s, and no worker of channel %s took it',
                                               n.notification_id, n.alert_id, utc(n.next_attempt_at), n.channel) as "what!"
        from notifications n join alerts a using (alert_id) join channels c on c.name = n.channel
        where n.state = 'pending' and n.state in ('pending', 'sending') and n.next_attempt_at < now() - interval '1 min' and c.disabled_at is null
          and not exists (
            select from notifications taken
            where taken.channel = n.channel and taken.settled_at > now() - interval '1 min' and taken.state = 'accepted')
          and not exists (
            select from notifications before
            where before.channel = n.channel and before.dedup_key = n.dedup_key and before.state in ('pending', 'sending')
              and (before.alert_id, before.notification_id) < (n.alert_id, n.notification_id))
          and (n.kind = 'resolve' or suppression(a) is null)
        order by n.notification_id limit $1
        "#,
        MOST,
    )
    .fetch_all(pool)
    .await
}

/// Notifications of the last week that were sent before what stands in front of them on the same channel and with the
/// same key was over: an earlier alert's, or their own alert's triggers before its resolve.
///
/// # Errors
/// If the database does not answer.
pub async fn out_of_order(pool: &PgPool) -> sqlx::Result<Vec<Finding>> {
    sqlx::query_as!(
        Finding,
        r#"
        with lately as materialized (
            select n.*, (select min(t.began_at) from attempts t where t.notification_id = n.notification_id) as first_sent_at
            from notifications n where n.settled_at is null or n.settled_at > now() - interval '7 days')
        select n.notification_id as "id!", format('notification %s (%s of alert %s, %s) was sent at %s, before the end of notification %s (%s of alert %s)',
                                                  n.notification_id, n.kind, n.alert_id, n.channel, utc(n.first_sent_at), b.notification_id, b.kind, b.alert_id) as "what!"
        from lately n join lately b on b.channel = n.channel and b.dedup_key = n.dedup_key
        where (b.alert_id < n.alert_id or (b.alert_id = n.alert_id and b.kind <> 'resolve' and n.kind = 'resolve'))
          -- now() is the beginning of a transaction: one that waited for another looks a little older than it
          and n.first_sent_at < coalesce(b.settled_at, 'infinity') - interval '1 s'
        order by n.notification_id limit $1
        "#,
        MOST,
    )
    .fetch_all(pool)
    .await
}

/// Floods that do not agree with their members.
///
/// # Errors
/// If the database does not answer.
pub async fn floods_against_members(pool: &PgPool) -> sqlx::Result<Vec<Finding>> {
    sqlx::query_as!(
        Finding,
        r#"
        select flood_id as "id!", what as "what!" from (
            select f.alert_id as flood_id, format('flood %s takes nobody in and has %s open members, and is open', f.alert_id, m.open) as what
            from alerts f cross join lateral (
                select count(*) filter (where m.closed_at is null) as open, max(m.closed_at) as last_closed_at from alerts m where m.parent_id = f.alert_id) m
            where f.kind = 'flood' and f.closed_at is null and not f.is_settled and not f.takes_in and m.open <= f.threshold / 2
              -- while members recover one after the other it waits for the rest; and then a little, for the scheduler
              and (m.open = 0 or m.last_closed_at is null or m.last_closed_at <= now() - make_interval(secs => f.window_s + 5))
            union all
            select f.alert_id, format('flood %s is closed, and its member %s is open', f.alert_id, m.alert_id)
            from alerts m join alerts f on f.alert_id = m.parent_id where m.closed_at is null and f.closed_at is not null
            union all
            select f.alert_id, format('flood %s has priority %s, its most urgent member %s', f.alert_id, f.priority, m.priority)
            from alerts f cross join lateral (select min(m.priority) as priority from alerts m where m.parent_id = f.alert_id) m
            where f.kind = 'flood' and f.closed_at is null and not f.is_settled and f.priority <> m.priority
            union all
            select f.alert_id, format('flood %s does not concern %s, but its member %s does', f.alert_id, t.channel, m.alert_id)
            from alerts f join alerts m on m.parent_id = f.alert_id join alert_targets t on t.alert_id = m.alert_id
            where f.kind = 'flood' and f.closed_at is null and not f.is_settled
              and not exists (select from alert_targets x where x.alert_id = f.alert_id and x.channel = t.channel)) as disagreement
        order by flood_id, what limit $1
        "#,
        MOST,
    )
    .fetch_all(pool)
    .await
}

/// Duties that failed, or that nobody did although they are due for a minute. An installation without checks and
/// alerts misses none.
///
/// # Errors
/// If the database does not answer.
pub async fn undone_duties(pool: &PgPool) -> sqlx::Result<Vec<Finding>> {
    sqlx::query_as!(
        Finding,
        r#"
        select hashtext(d.name)::bigint as "id!",
               case when d.last_error is not null then format('duty %s failed: %s', d.name, d.last_error)
                    else format('duty %s is due since %s and was %s', d.name, utc(d.due_at), coalesce('last done at ' || utc(d.last_at), 'never done')) end as "what!"
        from duties d
        where (exists (select from check_state) or exists (select from alerts where not is_settled))
          and (d.last_error is not null
            or (d.due_at < now() - interval '1 min' and (d.leased_until is null or d.leased_until < now())))
        order by d.name limit $1
        "#,
        MOST,
    )
    .fetch_all(pool)
    .await
}

/// Whether checks are overdue for a minute, and no run was recorded for as long: no worker runs, or none can record.
///
/// # Errors
/// If the database does not answer.
pub async fn no_runs(pool: &PgPool) -> sqlx::Result<Vec<Finding>> {
    sqlx::query_as!(
        Finding,
        r#"
        select 0::bigint as "id!", format('%s checks are overdue, and %s', overdue, coalesce('the last run was recorded at ' || utc(last_at), 'none has ever run')) as "what!"
        from (
            select count(*) filter (where not suspended and not removed and coalesce(leased_until < now(), true)
                                      and coalesce(rush_at, due_at) < now() - interval '1 min') as overdue,
                   max(last_at) as last_at
            from check_state) as runs
        where overdue > 0 and (last_at is null or last_at < now() - interval '1 min')
        "#
    )
    .fetch_all(pool)
    .await
}

/// Transactions that others hold open for more than `longer_than_s` seconds in this database: they stop pruning of the hot table, and
/// everything slows down. Sessions of other users are only seen with the role pg_monitor.
///
/// # Errors
/// If the database does not answer.
pub async fn old_snapshots(pool: &PgPool, longer_than_s: i32) -> sqlx::Result<Vec<Finding>> {
    sqlx::query_as!(
        Finding,
        r#"
        -- the system's clock, for it is the one that these times are of
        select pid::bigint as "id!", format('process %s of user %s (%s) holds a transaction open since %s, for %s', pid, usename,
                      coalesce(nullif(application_name, ''), 'no name'), utc(xact_start), date_trunc('second', clock_timestamp() - xact_start)) as "what!"
        from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
          and xact_start < clock_timestamp() - make_interval(secs => $2::int)
        order by xact_start limit $1
        "#,
        MOST,
        longer_than_s,
    )
    .fetch_all(pool)
    .await
}
