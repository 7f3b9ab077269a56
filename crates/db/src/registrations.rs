//! What an agent declares of itself becomes rows (semantics.md, decision 9).
//!
//! State, owner, suspension and phase survive every registration, and an unchanged one writes nothing but the
//! time. Rows are locked in the order that holds everywhere: definitions, states by id, the host, alerts.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use stalker_domain::wire::Registration;

use crate::alerts;
use crate::audit::{self, Actor, Deed};

const DEFAULT_PORT: u16 = 5050;

/// How an agent shows that it is the one that has registered before.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// The token that it was given, if it has one.
    pub token: Option<&'a str>,
    /// What it is given if it has none, and is to have one.
    pub new_token: &'a str,
    /// Whether who has none, as the original's agents, may register.
    pub allow_tokenless: bool,
    /// Who asks, for the audit.
    pub actor: &'a Actor,
    /// The name of the register key that was shown, for the audit.
    pub register_key: &'a str,
}

/// Why a registration was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The name belongs to an agent that has another token.
    #[error("the token is not that of this host")]
    WrongToken,
    /// The name belongs to an agent that has a token.
    #[error("this host has a token, and none was shown")]
    TokenMissing,
    /// Agents without a token are not allowed.
    #[error("agents without a token are not allowed here")]
    Tokenless,
    /// The database does not answer, or a constraint refuses what validation let through.
    #[error("the database did not take the registration")]
    Database(#[from] sqlx::Error),
}

/// What a registration changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The host.
    pub host_id: i64,
    /// The agent is to show its new token from now on.
    pub is_token_new: bool,
    /// Checks that were not known before.
    pub added: usize,
    /// Checks that were named once, then not, and now again.
    pub returned: usize,
    /// Checks that are no longer named.
    pub removed: usize,
}

/// Records a registration. `ip` is where the host is called; the other fields have been validated.
///
/// # Errors
/// If the name is another agent's, the database does not answer, or a constraint refuses what validation let through.
pub async fn register(
    pool: &PgPool,
    registration: &Registration,
    ip: &str,
    identity: &Identity<'_>,
) -> Result<Registered, RegisterError> {
    // Every writer locks in one order; only a planner that reads a table as it lies could break it.
    let mut tries = 0;
    loop {
        match register_once(pool, registration, ip, identity).await {
            Err(RegisterError::Database(error)) if is_deadlock(&error) && tries < 3 => tries += 1,
            registered => return registered,
        }
    }
}

fn is_deadlock(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.code().as_deref() == Some("40P01"))
}

async fn register_once(
    pool: &PgPool,
    registration: &Registration,
    ip: &str,
    identity: &Identity<'_>,
) -> Result<Registered, RegisterError> {
    let definitions = Definitions::of(registration);
    let mut tx = pool.begin().await?;
    lock(&mut tx, &registration.hostname).await?;
    let is_token_new = identify(&mut tx, registration, identity).await?;
    let (host_id, is_new) = find_or_make_host(&mut tx, &registration.hostname, ip).await?;
    let before = match is_new {
        true => json!({}),
        false => declared(&mut tx, host_id).await?,
    };
    upsert_definitions(&mut tx, host_id, &definitions).await?;
    let added = plan_new(&mut tx, host_id).await?;
    let mut removed = Vec::new();
    let mut returned = 0;
    if lock_states_to_change(&mut tx, host_id, &definitions.names).await? > 0 {
        returned = bring_back(&mut tx, host_id, &definitions.names).await?;
        removed = mark_removed(&mut tx, host_id, &definitions.names).await?;
        plan_edited(&mut tx, host_id).await?;
        copy_timeouts(&mut tx, host_id).await?;
    }
    update_host(&mut tx, host_id, registration, ip).await?;
    match (is_token_new, identity.token) {
        (true, _) => give_token(&mut tx, host_id, identity.new_token).await?,
        (false, Some(_)) => note_token(&mut tx, host_id).await?,
        (false, None) => {}
    }
    alerts::close(&mut tx, &removed, &[], "removed").await?;
    let registered = Registered {
        host_id,
        is_token_new,
        added,
        returned,
        removed: removed.len(),
    };
    let after = declared(&mut tx, host_id).await?;
    if before != after || is_token_new {
        let (mut before, mut after) = (only_new(&before, &after), only_new(&after, &before));
        // that it is another one is told, and nothing of it
        if let Some(before) = before.as_object_mut() {
            before.remove("check_key");
        }
        if let Some(key) = after.get_mut("check_key") {
            *key = json!("changed");
        }
        if is_token_new {
            after["token"] = json!("given");
        }
        after["register_key"] = json!(identity.register_key);
        let deed = Deed {
            action: "register",
            subject: format!("host {}", registration.hostname),
            before: (before != json!({})).then_some(before),
            after: Some(after),
        };
        audit::write(&mut tx, identity.actor, deed).await?;
    }
    tx.commit().await?;
    Ok(registered)
}

/// What a host and its checks are declared to be, for the audit. Its check key stands as a hash, so that a change is seen.
async fn declared(conn: &mut PgConnection, host_id: i64) -> sqlx::Result<Value> {
    sqlx::query_scalar!(
        r#"
        select jsonb_build_object(
            'ip', h.ip, 'port', h.port, 'roles', h.roles, 'agent_version', h.agent_version, 'cert_sha256', h.cert_sha256,
            'check_key', encode(sha256(convert_to(h.check_key, 'UTF8')), 'hex')) ||
            coalesce((
                select jsonb_object_agg('check ' || k.name, jsonb_build_object(
                    'cmd', k.cmd, 'args', k.args, 'interval', k.declared_interval_s, 'follow_up', k.declared_follow_up_s,
                    'priority', k.declared_priority, 'timeout', k.timeout_s, 'alert_threshold', k.declared_alert_threshold,
                    'flap_threshold', k.declared_flap_threshold, 'flap_window', k.declared_flap_window_s))
                from checks k where k.host_id = h.host_id and k.removed_at is null and k.made_by = 'agent'), '{}') as "declared!"
        from hosts h where h.host_id = $1
        "#,
        host_id
    )
    .fetch_one(conn)
    .await
}

/// The fields of an object that are not so in another one.
fn only_new(object: &Value, other: &Value) -> Value {
    let fields = object.as_object().into_iter().flatten();
    fields
        .filter(|(name, value)| other.get(name) != Some(value) && !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Refuses who is not the agent of this name. True if it is to be given a token.
///
/// A token counts once it was shown. Until then its agent may not have heard of it, for the answer may have been lost: who
/// registers with the same key and certificate is given another one.
async fn identify(
    conn: &mut PgConnection,
    registration: &Registration,
    identity: &Identity<'_>,
) -> Result<bool, RegisterError> {
    let known = sqlx::query!(
        "select token_hash, token_is_shown, check_key, cert_sha256, cert_origin from hosts where hostname = $1",
        registration.hostname
    )
    .fetch_optional(conn)
    .await?;
    let is_ours = registration.agent_version.is_some();
    let Some((host, token_hash)) = known.and_then(|mut host| {
        let hash = host.token_hash.take()?;
        Some((host, hash))
    }) else {
        // Nobody's yet. A token from elsewhere, as of a host that was renamed or released, opens nothing and closes nothing.
        return match is_ours || identity.allow_tokenless {
            true => Ok(is_ours),
            false => Err(RegisterError::Tokenless),
        };
    };
    match identity.token {
        Some(token) if hash(token) == token_hash => Ok(false),
        Some(_) if host.token_is_shown => Err(RegisterError::WrongToken),
        None if host.token_is_shown => Err(RegisterError::TokenMissing),
        _ if !is_ours && !identity.allow_tokenless => Err(RegisterError::Tokenless),
        // its certificate may have been pinned, or its pin reset, meanwhile; then its key says it
        _ if host.check_key == registration.check_key
            && (host.cert_sha256 == registration.cert_sha256
                || (host.check_key.is_some()
                    && host.cert_origin.as_deref() != Some("registered"))) =>
        {
            Ok(is_ours)
        }
        _ => Err(RegisterError::TokenMissing),
    }
}

async fn give_token(conn: &mut PgConnection, host_id: i64, token: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update hosts set token_hash = $2, token_is_shown = false where host_id = $1",
        host_id,
        hash(token)
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn note_token(conn: &mut PgConnection, host_id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "update hosts set token_is_shown = true where host_id = $1 and token_hash is not null and not token_is_shown",
        host_id
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Tokens are 256 random bits: a slow hash would protect nothing.
fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

/// One registration of a host at a time, also of one that does not exist yet. Held until the transaction ends.
pub(crate) async fn lock(conn: &mut PgConnection, hostname: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended('registration of ' || $1, 0))",
        hostname
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The host, and whether it was made just now.
async fn find_or_make_host(
    conn: &mut PgConnection,
    hostname: &str,
    ip: &str,
) -> sqlx::Result<(i64, bool)> {
    // Its other columns are written last: a lock on the host comes after those on its checks' states.
    let made = sqlx::query!(
        "insert into hosts (hostname, ip) values ($1, $2) on conflict (hostname) do nothing",
        hostname,
        ip
    )
    .execute(&mut *conn)
    .await?;
    let host_id = sqlx::query_scalar!("select host_id from hosts where hostname = $1", hostname)
        .fetch_one(conn)
        .await?;
    Ok((host_id, made.rows_affected() == 1))
}

async fn upsert_definitions(
    conn: &mut PgConnection,
    host_id: i64,
    new: &Definitions,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into checks (host_id, name, cmd, args, declared_interval_s, declared_follow_up_s, declared_priority, timeout_s,
                            declared_alert_threshold, declared_flap_threshold, declared_flap_window_s)
        select $1::bigint, n.*
        from unnest($2::text[], $3::text[], $4::text[], $5::integer[], $6::integer[], $7::smallint[], $8::integer[],
                    $9::integer[], $10::integer[], $11::integer[]) as n
        on conflict (host_id, name) do update set
            cmd = excluded.cmd, args = excluded.args, declared_interval_s = excluded.declared_interval_s,
            declared_follow_up_s = excluded.declared_follow_up_s, declared_priority = excluded.declared_priority, timeout_s = excluded.timeout_s,
            declared_alert_threshold = excluded.declared_alert_threshold, declared_flap_threshold = excluded.declared_flap_threshold,
            declared_flap_window_s = excluded.declared_flap_window_s, registered_at = now()
        where checks.registered_at < now() - interval '1 minute'
           or (checks.cmd, checks.args, checks.declared_interval_s, checks.declared_follow_up_s, checks.declared_priority, checks.timeout_s,
               checks.declared_alert_threshold, checks.declared_flap_threshold, checks.declared_flap_window_s)
              is distinct from
              (excluded.cmd, excluded.args, excluded.declared_interval_s, excluded.declared_follow_up_s, excluded.declared_priority, excluded.timeout_s,
               excluded.declared_alert_threshold, excluded.declared_flap_threshold, excluded.declared_flap_window_s)
        "#,
        host_id,
        &new.names,
        &new.cmds as &[Option<String>],
        &new.args,
        &new.intervals_s,
        &new.follow_ups_s,
        &new.priorities,
        &new.timeouts_s as &[Option<i32>],
        &new.alert_thresholds as &[Option<i32>],
        &new.flap_thresholds as &[Option<i32>],
        &new.flap_windows_s as &[Option<i32>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives each check that has none yet its place on the grid, and a first run within 8 s, whatever its interval: its
/// result is there within 10. A few together need not be spread so far.
async fn plan_new(conn: &mut PgConnection, host_id: i64) -> sqlx::Result<usize> {
    let planned = sqlx::query!(
        r#"
        insert into check_state (check_id, interval_s, phase_ms, timeout_s, due_at, rush_at)
        select n.check_id, n.interval_s, n.phase_ms, n.timeout_s,
            timestamptz 'epoch' + ((n.now_ms - n.phase_ms) / n.interval_ms * n.interval_ms + n.interval_ms + n.phase_ms) * interval '1 ms',
            now() + random() * least(n.interval_s, 8, 1 + n.together / 10.0) * interval '1 s'
        from (
            select k.check_id, k.interval_s, k.timeout_s, k.interval_s * 1000::bigint as interval_ms, count(*) over () as together,
                floor(random() * k.interval_s * 1000)::integer as phase_ms, floor(extract(epoch from now()) * 1000)::bigint as now_ms
            from checks k
            where k.host_id = $1 and k.removed_at is null
              and not exists (select from check_state s where s.check_id = k.check_id)
        ) as n
        "#,
        host_id
    )
    .execute(conn)
    .await?;
    Ok(planned.rows_affected() as usize)
}

/// Locks, in the order of ids, the states that the next four statements change; usually there are none.
async fn lock_states_to_change(
    conn: &mut PgConnection,
    host_id: i64,
    names: &[String],
) -> sqlx::Result<usize> {
    let locked = sqlx::query_scalar!(
        r#"
        select s.check_id from checks k join check_state s using (check_id)
        where k.host_id = $1 and k.made_by = 'agent'
          and (s.interval_s <> k.interval_s or s.timeout_s is distinct from k.timeout_s or s.removed = (k.name = any ($2)))
        order by s.check_id
        for no key update of s
        "#,
        host_id,
        names
    )
    .fetch_all(conn)
    .await?;
    Ok(locked.len())
}

/// Checks that are named again run at once: as they were, or from the beginning after more than 30 days.
async fn bring_back(
    conn: &mut PgConnection,
    host_id: i64,
    names: &[String],
) -> sqlx::Result<usize> {
    let returned = sqlx::query!(
        r#"
        with back as (
            select check_id, removed_at < now() - interval '30 days' as forgotten
            from checks where host_id = $1 and name = any ($2) and removed_at is not null
        ), named as (
            update checks set removed_at = null where check_id in (select check_id from back)
        )
        update check_state s
        set removed = false, rush_at = now(),
            suspended = s.suspended and not b.forgotten,
            status = case when not b.forgotten then s.status end,
            unreachable = s.unreachable and not b.forgotten,
            fails = case when b.forgotten then 0 else s.fails end,
            since = case when not b.forgotten then s.since end,
            last_at = case when not b.forgotten then s.last_at end,
            out = case when b.forgotten then '' else s.out end,
            owner = case when b.forgotten then '' else s.owner end,
            flips = case when b.forgotten then '{}' else s.flips end,
            flap_since = case when not b.forgotten then s.flap_since end,
            flap_until = case when not b.forgotten then s.flap_until end
        from back b
        where s.check_id = b.check_id
        "#,
        host_id,
        names
    )
    .execute(conn)
    .await?;
    Ok(returned.rows_affected() as usize)
}

/// Marks the checks that are not named. Without its lease, a run that is under way is refused by the fence.
async fn mark_removed(
    conn: &mut PgConnection,
    host_id: i64,
    names: &[String],
) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        with gone as (
            update checks set removed_at = now()
            where host_id = $1 and made_by = 'agent' and removed_at is null and name <> all ($2)
            returning check_id
        )
        update check_state s
        set removed = true, hard = false, rush_at = null, lease = null, leased_until = null
        from gone
        where s.check_id = gone.check_id
        returning s.check_id
        "#,
        host_id,
        names
    )
    .fetch_all(conn)
    .await
}

/// Follows an edited interval: interval, phase and due time change together, or the claim would look for the
/// check where it is not.
pub(crate) async fn plan_edited(conn: &mut PgConnection, host_id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        update check_state s
        set interval_s = n.interval_s, phase_ms = n.phase_ms,
            due_at = timestamptz 'epoch' + ((n.now_ms - n.phase_ms) / n.interval_ms * n.interval_ms + n.interval_ms + n.phase_ms) * interval '1 ms'
        from (
            select k.check_id, k.interval_s, k.interval_s * 1000::bigint as interval_ms,
                floor(random() * k.interval_s * 1000)::integer as phase_ms, floor(extract(epoch from now()) * 1000)::bigint as now_ms
            from checks k where k.host_id = $1
        ) as n
        where s.check_id = n.check_id and s.interval_s <> n.interval_s
        "#,
        host_id
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A lease is as long as the script's timeout wants it, and a claim reads the hot row alone.
async fn copy_timeouts(conn: &mut PgConnection, host_id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        update check_state s set timeout_s = k.timeout_s
        from checks k
        where k.check_id = s.check_id and k.host_id = $1 and s.timeout_s is distinct from k.timeout_s
        "#,
        host_id
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn update_host(
    conn: &mut PgConnection,
    host_id: i64,
    new: &Registration,
    ip: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        update hosts
        set ip = $2, port = $3, roles = $4, agent_version = $5, check_key = $6,
            -- a registration that names no certificate does not clear the pin of one that did
            cert_sha256 = coalesce($7, cert_sha256), cert_origin = case when $7 is null then cert_origin else 'registered' end,
            registered_at = now()
        where host_id = $1
          and (registered_at < now() - interval '1 minute'
               or (ip, port, roles, agent_version, check_key, cert_sha256, cert_origin)
                  is distinct from
                  ($2, $3, $4, $5, $6, coalesce($7, cert_sha256), case when $7 is null then cert_origin else 'registered' end))
        "#,
        host_id,
        ip,
        i32::from(new.port.unwrap_or(DEFAULT_PORT)),
        &new.roles,
        new.agent_version.as_deref(),
        new.check_key.as_deref(),
        new.cert_sha256.as_deref()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The checks of a registration as columns.
#[derive(Default)]
struct Definitions {
    names: Vec<String>,
    cmds: Vec<Option<String>>,
    args: Vec<String>,
    intervals_s: Vec<i32>,
    follow_ups_s: Vec<i32>,
    priorities: Vec<i16>,
    timeouts_s: Vec<Option<i32>>,
    alert_thresholds: Vec<Option<i32>>,
    flap_thresholds: Vec<Option<i32>>,
    flap_windows_s: Vec<Option<i32>>,
}

impl Definitions {
    fn of(registration: &Registration) -> Self {
        let mut all = Self::default();
        for (name, check) in &registration.checks {
            all.names.push(name.clone());
            all.cmds.push(check.cmd.clone());
            all.args.push(check.args.clone());
            all.intervals_s.push(to_i32(check.interval));
            all.follow_ups_s.push(to_i32(check.follow_up));
            all.priorities
                .push(check.priority.unwrap_or(1).clamp(0, 2) as i16);
            all.timeouts_s.push(check.timeout.map(to_i32));
            all.alert_thresholds.push(check.alert_threshold.map(to_i32));
            all.flap_thresholds.push(check.flap_threshold.map(to_i32));
            all.flap_windows_s.push(check.flap_window.map(to_i32));
        }
        all
    }
}

/// What is out of range stays out of range, for the column's constraint to refuse.
fn to_i32(number: i64) -> i32 {
    number.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}
