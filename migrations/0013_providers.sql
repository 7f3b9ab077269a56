-- What the providers of today need of their channels: one recipient each, rates that all workers share, an end, a test.

-- Whoever waits for these locks lets everybody wait behind it: rather fail, and be run again at a quieter time.
set local lock_timeout = '10s';

alter table channels
    -- the configured channel of which this is one recipient: routes and fallbacks name that
    add column part_of           text,
    -- where it leads, for people: without what is secret
    add column address           text not null default '',
    -- whoever takes ownership is made known there
    add column takes_acknowledge boolean not null default false,
    -- the receiver said that it is gone for good: nothing is sent until its settings change or a test is accepted
    add column disabled_at       timestamptz,
    add column disabled_why      text,
    add constraint channels_disabled_for_a_reason check ((disabled_at is null) = (disabled_why is null));

alter table notifications
    -- the receiver asked not to be asked before
    add column waits_until timestamptz,
    -- its next attempt was brought forward, because its channel took another message
    add column hurried_at  timestamptz,
    drop constraint notifications_kind_is_known,
    add constraint notifications_kind_is_known check (kind in ('trigger', 'repeat', 'resolve', 'acknowledge'));
-- The API's list by channel.
create index notifications_of_a_channel on notifications (channel, notification_id);

-- Not null: resumed, and it has not run since. What is told of its alert waits for what that run finds.
alter table check_state add column resumed boolean;

-- As before, but for what was resumed.
create or replace function suppression_of(alert alerts) returns table (reason text) stable language sql as $$
    select case
        when alert.priority = 0 then 'priority 0'
        when alert.parent_id is not null then 'flood'
        when alert.host_id is not null
             and exists (select from maintenances m where m.ends_at > now() and m.starts_at <= now())
             and exists (select from hosts h cross join lateral maintenances_at(now(), alert.hostname, h.roles, alert.check_name) m where h.host_id = alert.host_id)
            then 'maintenance'
        when alert.kind = 'check' then (
            select case
                when s.flap_until > now() and not alert.is_of_flapping then 'flapping'
                when s.unreachable then 'unreachable'
                when s.suspended or s.resumed then 'suspended'
            end
            from check_state s where s.check_id = alert.check_id)
        when alert.kind = 'host' and not alert.is_of_flapping
             and exists (select from hosts h where h.host_id = alert.host_id and h.flap_until > now())
            then 'flapping'
        -- a burst that healed before anybody was told of it
        when alert.kind = 'flood' and not exists (select from alerts m where m.parent_id = alert.alert_id and m.closed_at is null)
            then 'recovered'
    end
$$;

-- Token buckets: how many messages may be sent with a key just now, whoever sends them.
create table send_rates (
    -- provider and the beginning of the SHA-256 of the key
    rate_key    text primary key,
    tokens      double precision not null,
    -- of the last who asked
    granted     bigint not null,
    refilled_at timestamptz not null
) with (fillfactor = 50);

-- As many of the wanted tokens as there are; null if none are wanted or there are none, which writes nothing. A bucket fills by
-- `per_s` up to `burst`, and is full at first. Whoever waits for another's transaction here may have an older now().
create function take_tokens(of_key text, wanted bigint, per_s double precision, burst double precision) returns bigint volatile language sql as $$
    insert into send_rates as r (rate_key, tokens, granted, refilled_at)
    select of_key, burst - least(wanted, floor(burst)), least(wanted, floor(burst)), now() where wanted > 0
    on conflict (rate_key) do update
    set (tokens, granted, refilled_at) = (
        select filled.tokens - least(wanted, floor(filled.tokens)), least(wanted, floor(filled.tokens)), greatest(r.refilled_at, now())
        from (select least(burst, r.tokens + greatest(0, extract(epoch from now() - r.refilled_at)) * per_s) as tokens) as filled)
    where least(burst, r.tokens + greatest(0, extract(epoch from now() - r.refilled_at)) * per_s) >= 1
    returning granted
$$;

-- Messages that somebody asks for to see whether a channel works. Sent once, by any worker; nobody waits for long.
create table channel_tests (
    test_id          bigint generated always as identity primary key,
    channel          text not null references channels,
    asked_by         text not null,
    asked_at         timestamptz not null default now(),
    began_at         timestamptz,
    ended_at         timestamptz,
    latency_ms       integer,
    http_status      integer,
    error            text,
    answer           text
);
create index channel_tests_waiting on channel_tests (channel, test_id) where began_at is null;

-- What has become of a channel's messages lately, and when it took the last one.
create index notifications_settled on notifications (channel, settled_at, state) where settled_at is not null;
-- The API's lists by state, but for what nearly all are; and by host.
create index notifications_in_a_state on notifications (state, notification_id) where state <> 'accepted';
create index alerts_of_a_hostname on alerts (hostname, alert_id);

-- What a channel has refused for good and another try could still deliver: the one home of this rule (decision 8).
create view dead_letters as
    select n.notification_id, n.alert_id, n.channel, n.kind, n.n, n.reason, n.settled_at
    from notifications n join alerts a using (alert_id) join channels c on c.name = n.channel
    where n.state = 'refused' and not a.is_settled and c.retired_at is null
      and (n.kind = 'resolve' or a.closed_at is null) and coalesce(n.expires_at > now(), true)
      -- of what says the same, the latest
      and not exists (
        select from notifications later
        where later.alert_id = n.alert_id and later.channel = n.channel and later.notification_id > n.notification_id and later.state <> 'dropped'
          and (later.kind = 'resolve') = (n.kind = 'resolve') and later.kind <> 'acknowledge')
      -- with stable keys the resolve of an earlier episode would end a later one
      and not exists (
        select from notifications later
        where later.channel = n.channel and later.dedup_key = n.dedup_key and later.alert_id > n.alert_id and later.attempts > 0);

-- What a notification waits for, in words; null if it is over. `held` is its alert's suppression of now.
create function waits_for(message notifications, alert alerts, held text) returns text stable language sql as $$
    select case
        when message.state = 'sending' then format('%s %s is being sent', message.kind, message.n)
        when message.state <> 'pending' then null
        when c.retired_at is not null then 'the channel is not configured any more'
        when c.disabled_at is not null then 'the channel is disabled: ' || c.disabled_why
        when held is not null and message.kind <> 'resolve' then 'suppressed: ' || suppression_in_words(alert, held, now(), null)
        else coalesce(
            (select format('%s %s waits for the end of notification %s, of the same key', message.kind, message.n, min(b.notification_id))
             from notifications b
             where b.channel = message.channel and b.dedup_key = message.dedup_key and b.state in ('pending', 'sending')
               and (b.alert_id, b.notification_id) < (message.alert_id, message.notification_id)
             having count(*) > 0),
            format('next attempt of %s %s at %s', message.kind, message.n, utc(message.next_attempt_at))
                || case when message.waits_until > now() then ', as its receiver asked' else '' end)
    end
    from channels c where c.name = message.channel
$$;

-- As before, but what a notification waits for is told in one place, and an acknowledgement is no trigger.
create or replace function awaited(alert alerts, held text) returns table (channel text, why text) stable language sql as $$
    select null, case when exists (select from channels c where c.retired_at is null) then 'no target: no route matches' else 'no target: no channel is configured' end
    where alert.closed_at is null and not exists (select from alert_targets t where t.alert_id = alert.alert_id)
    union all
    select t.channel, case
        when waiting.why is not null then waiting.why
        when held is not null then 'suppressed: ' || suppression_in_words(alert, held, now(), null)
        when owed.kind is not null then format('%s is owed; the scheduler adds it within a second', owed.kind)
        when s.owner <> '' then 'no repeat while it is owned by ' || s.owner
        when c.retired_at is not null then 'the channel is not configured any more'
        when last.settled_at is not null then 'repeat due at ' || utc(last.settled_at + make_interval(secs => c.repeat_s))
        else 'nothing'
    end
    from alert_targets t join channels c on c.name = t.channel
    left join lateral (
        select waits_for(message, alert, held) as why
        from notifications message
        where message.alert_id = t.alert_id and message.channel = t.channel and message.state in ('pending', 'sending')
        order by message.notification_id limit 1) as waiting on true
    left join lateral (
        select max(n.settled_at) as settled_at from notifications n
        where n.alert_id = t.alert_id and n.channel = t.channel and n.kind in ('trigger', 'repeat') and n.state in ('accepted', 'refused')) as last on true
    left join owed on owed.alert_id = t.alert_id and owed.channel = t.channel
    left join check_state s on s.check_id = alert.check_id
    where t.alert_id = alert.alert_id and (alert.closed_at is null or waiting.why is not null or owed.kind is not null)
$$;
