-- Alerts, whom they concern, and what is owed to whom.

-- A hard problem from its beginning to its end. What is shown in messages is copied here: a message refers to
-- nothing that a delete removes. The id is the episode: a late resolve cannot close a later alert.
create table alerts (
    alert_id     bigint generated always as identity primary key,
    kind         text not null,
    -- the flood that this alert is a member of
    parent_id    bigint references alerts,
    host_id      bigint,
    check_id     bigint,
    hostname     text not null default '',
    ip           text not null default '',
    check_name   text not null default '',
    priority     smallint not null,
    -- of the check; null for a host or a flood
    status       smallint,
    fails        integer not null default 0,
    out          text not null default '',
    opened_at    timestamptz not null default now(),
    closed_at    timestamptz,
    close_reason text,
    -- closed, and nothing is owed or under way any more: nobody needs to look at it again
    is_settled   boolean not null default false,
    constraint alerts_kind_is_known check (kind in ('check', 'host', 'flood')),
    constraint alerts_has_its_subject check (
        case kind when 'check' then check_id is not null and host_id is not null when 'host' then host_id is not null and check_id is null end),
    constraint alerts_closed_for_a_reason check ((closed_at is null) = (close_reason is null)),
    constraint alerts_settled_is_closed check (closed_at is not null or not is_settled)
);
create unique index alerts_one_open_per_check on alerts (check_id) where kind = 'check' and closed_at is null;
create unique index alerts_one_open_per_host on alerts (host_id) where kind = 'host' and closed_at is null;
-- What the owed rule looks at: open, or newly closed. However many have passed, these are few.
create index alerts_unsettled on alerts (alert_id) where not is_settled;

-- The configured destinations, written by every server process at its start. Secrets stay in configuration.
create table channels (
    name       text primary key,
    provider   text not null,
    fallback   text,
    -- deduplication keys are PREFIXhost:check:episode; stable keys are the original's, without the episode
    prefix      text not null default '',
    stable_keys boolean not null default false,
    -- notifications_expiration: seconds after which an alert that is still open is told again
    repeat_s   integer not null,
    -- no longer configured, but kept while alerts that concern it are open
    retired_at timestamptz
);

-- Which channels an alert concerns, decided when it opens (decision 5): a later edit of the routes changes nothing.
create table alert_targets (
    alert_id bigint not null references alerts on delete cascade,
    channel  text not null references channels,
    why      text not null,
    added_at timestamptz not null default now(),
    primary key (alert_id, channel)
);

create table notifications (
    notification_id  bigint generated always as identity primary key,
    alert_id         bigint not null references alerts on delete cascade,
    channel          text not null references channels,
    kind             text not null,
    n                integer not null default 1,
    -- the same for every attempt, and for the resolve of this trigger
    dedup_key        text not null,
    state            text not null default 'pending',
    reason           text,
    created_at       timestamptz not null default now(),
    next_attempt_at  timestamptz not null default now(),
    -- a resolve that nobody took for three days is of no use; a trigger lives as long as its alert
    expires_at       timestamptz,
    attempts         integer not null default 0,
    lease            bigint,
    leased_until     timestamptz,
    -- an attempt was accepted, or nobody knows that it was not: this trigger needs a resolve
    may_have_arrived boolean not null default false,
    -- first 8 hex digits of the SHA-256 of the secret that was used: the resolve must use the same
    secret_id        text,
    settled_at       timestamptz,
    constraint notifications_one_of_a_kind unique (alert_id, channel, kind, n),
    constraint notifications_kind_is_known check (kind in ('trigger', 'repeat', 'resolve')),
    constraint notifications_state_is_known check (state in ('pending', 'sending', 'accepted', 'refused', 'dropped', 'superseded')),
    constraint notifications_settled_is_over check ((settled_at is null) = (state in ('pending', 'sending')))
);
-- What is claimed, and what stands in front of it: one at a time per channel and key, in the order of ids.
create index notifications_waiting on notifications (channel, dedup_key, notification_id) where state in ('pending', 'sending');
create index notifications_due on notifications (channel, next_attempt_at, notification_id) where state in ('pending', 'sending');

-- Every try, counted before it is made.
create table attempts (
    attempt_id       bigint generated always as identity primary key,
    notification_id  bigint not null references notifications on delete cascade,
    n                integer not null,
    began_at         timestamptz not null default now(),
    ended_at         timestamptz,
    latency_ms       integer,
    http_status      integer,
    error            text,
    -- the beginning of the receiver's answer
    answer           text,
    -- null while it is under way
    may_have_arrived boolean,
    unique (notification_id, n)
);
create index attempts_under_way on attempts (notification_id) where ended_at is null;

-- Why an alert is not being notified now, or null. The one home of this rule (decision 6): it is asked when a
-- trigger or repeat is owed and again when it is claimed. It delays triggers and repeats, never resolves.
create function suppression(alert alerts) returns text stable language sql as $$
    select case
        when alert.priority = 0 then 'priority 0'
        when alert.parent_id is not null then 'flood'
        when alert.kind = 'check' then (
            select case
                when s.suspended then 'suspended'
                when s.unreachable then 'unreachable'
                when s.flap_until > now() then 'flapping'
            end
            from check_state s where s.check_id = alert.check_id)
    end
$$;

-- What the present state demands and nobody has been told yet: the one rule (decision 7). The recorder applies
-- it to what its batch changed, the scheduler to everything, an operator reads it. Empty when healthy.
-- (Each `case` asks the cheap question first: suppression is the dear one, and nearly every alert has been told.)
create view owed as
    -- a trigger, if none exists; one that a flood dropped does not count
    select a.alert_id, t.channel, 'trigger' as kind,
           1 + (select count(*) from notifications d
                where d.alert_id = a.alert_id and d.channel = t.channel and d.kind = 'trigger')::integer as n
    from alerts a join alert_targets t using (alert_id)
    where not a.is_settled and a.closed_at is null
      and case when exists (select from notifications x
                            where x.alert_id = a.alert_id and x.channel = t.channel and x.kind = 'trigger' and x.state <> 'dropped')
               then false else suppression(a) is null end
    union all
    -- a repeat, if the last one was settled long ago and nobody owns the problem
    select a.alert_id, t.channel, 'repeat', last.repeats + 1
    from alerts a join alert_targets t using (alert_id) join channels c on c.name = t.channel
    cross join lateral (
        select (count(*) filter (where x.kind = 'repeat'))::integer as repeats,
               bool_and(x.state in ('accepted', 'refused', 'dropped')) as settled,
               max(x.settled_at) filter (where x.state in ('accepted', 'refused')) as settled_at
        from notifications x
        where x.alert_id = a.alert_id and x.channel = t.channel and x.kind in ('trigger', 'repeat')) last
    where not a.is_settled and a.closed_at is null
      and case when last.settled and last.settled_at <= now() - make_interval(secs => c.repeat_s)
                and not exists (select from check_state s where s.check_id = a.check_id and s.owner <> '')
               then suppression(a) is null else false end
    union all
    -- a resolve, if a trigger or repeat may have arrived; after 72 hours it would help nobody
    select a.alert_id, t.channel, 'resolve', 1
    from alerts a join alert_targets t using (alert_id)
    where not a.is_settled and a.closed_at is not null and a.closed_at > now() - interval '72 hours'
      and exists (select from notifications x
                  where x.alert_id = a.alert_id and x.channel = t.channel and x.kind in ('trigger', 'repeat') and x.may_have_arrived)
      and not exists (select from notifications x
                      where x.alert_id = a.alert_id and x.channel = t.channel and x.kind = 'resolve');
