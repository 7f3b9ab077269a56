-- Tens of thousands of open alerts, members of floods or under a maintenance: what looks at alerts each second must cost
-- what can have changed, not what is open. And what an upgrade with open alerts needs.

-- Whoever waits for these locks lets everybody wait behind it: rather fail, and be run again at a quieter time.
set local lock_timeout = '10s';

-- What opened before floods were known, and is told, counted from when it opened: else all of it would count from now on
-- (the duty of what is set free), and open floods that nobody can join, for all of it was told long ago.
update alerts a set counted_at = a.opened_at
where a.counted_at is null and a.closed_at is null and a.kind <> 'flood' and suppression(a) is null;

-- An alert that changes what it says is updated in place, as a check's state is: no index holds what it says.
alter table alerts set (fillfactor = 70);

-- What the passing of time may set free or make owed: neither a member of a flood nor of priority 0, for those reasons
-- end by somebody's hand, and that transaction owes what follows.
create index alerts_standing on alerts (alert_id) where closed_at is null and parent_id is null and priority > 0;
-- Newly closed, until all is told.
create index alerts_closing on alerts (alert_id) where closed_at is not null and not is_settled;
create index alerts_open_floods on alerts (alert_id) where kind = 'flood' and closed_at is null;
-- Suppressed when they opened: they count once they are set free.
create index alerts_uncounted on alerts (alert_id) where closed_at is null and counted_at is null and parent_id is null and priority > 0 and kind <> 'flood';
-- Of each flood, the open members and when the last one closed, without reading the thousands of others.
drop index alerts_members;
create index alerts_members on alerts (parent_id, closed_at) where parent_id is not null;
create index alerts_counted_of_hosts on alerts (host_id, counted_at) where counted_at is not null;
-- What a new flood may take in, among the thousands that others have taken in.
create index alerts_countable on alerts (counted_at) where counted_at is not null and closed_at is null and parent_id is null;

-- Recovered while it flaps. Neither column changes at every run, so runs still update in place.
create index check_state_calming on check_state (check_id) where hard and status = 0;

-- Its alert was suppressed when somebody last looked (suppressions::note): the claim need not look each time.
alter table notifications add column is_held boolean not null default false;
drop index notifications_due;
create index notifications_due on notifications (channel, next_attempt_at, notification_id) where state = 'pending' and not is_held;
create index notifications_held on notifications (alert_id) where state = 'pending' and is_held;
create index notifications_sending on notifications (leased_until) where state = 'sending';
create index notifications_expiring on notifications (expires_at) where state = 'pending' and expires_at is not null;
-- What a fallback may be needed for.
create index notifications_failing on notifications (alert_id)
    where kind <> 'resolve' and (state = 'refused' or (state in ('pending', 'sending') and attempts >= 3));

-- As before, but of one host it reads what that host's index has.
create or replace function counted_towards_flood(of_host bigint, of_flood bigint, within_s integer) returns setof alerts stable language sql as $$
    select a.* from alerts a
    where of_host is null
      and a.counted_at > now() - make_interval(secs => within_s)
      and (a.parent_id is null or a.parent_id = of_flood)
    union all
    select a.* from alerts a
    where a.host_id = of_host and a.kind <> 'flood'
      and a.counted_at > now() - make_interval(secs => within_s)
      and (a.parent_id is null or a.parent_id = of_flood)
$$;

-- As before, but it counts members no further than it must.
create or replace function flood_is_over(flood alerts) returns boolean stable language sql as $$
    select case
        when flood.takes_in then false
        when exists (select from alerts m where m.parent_id = flood.alert_id and m.closed_at is null offset flood.threshold / 2) then false
        when not exists (select from alerts m where m.parent_id = flood.alert_id and m.closed_at is null) then true
        else not exists (select from alerts m where m.parent_id = flood.alert_id and m.closed_at > now() - make_interval(secs => flood.window_s))
    end
$$;

-- Why an alert is not told now: the one home of this rule (decision 6), in the order of its reasons; always one row. It is a
-- table so that planners see through it, for it is asked of all that is open each second: a function that yields a value
-- prepares all of itself at every call, and took six times as long.
create function suppression_of(alert alerts) returns table (reason text) stable language sql as $$
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
                when s.suspended then 'suspended'
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

-- The same of one alert.
create or replace function suppression(alert alerts) returns text stable language sql as $$
    select reason from suppression_of(alert)
$$;

-- As before, but what a target was told is looked up once; and what suppression says of the members of floods and of
-- priority 0 is said before anything is asked, in the words of alerts_standing: they may be nearly all that is open.
create or replace view owed as
    select a.alert_id, t.channel, due.kind, case due.kind when 'trigger' then told.triggers else told.repeats end + 1 as n
    from alerts a join alert_targets t using (alert_id) join channels c on c.name = t.channel
    cross join lateral (
        select (count(*) filter (where x.kind = 'trigger'))::integer as triggers,
               (count(*) filter (where x.kind = 'repeat'))::integer as repeats,
               count(*) filter (where x.kind = 'trigger' and x.state <> 'dropped') > 0 as is_triggered,
               bool_and(x.state in ('accepted', 'refused', 'dropped')) as is_settled,
               max(x.settled_at) filter (where x.state in ('accepted', 'refused')) as settled_at
        from notifications x
        where x.alert_id = a.alert_id and x.channel = t.channel and x.kind in ('trigger', 'repeat')) told
    cross join lateral (
        select case
            -- a trigger, if none exists; one that a flood dropped does not count
            when not told.is_triggered then 'trigger'
            -- a repeat, if the last one was settled long ago and nobody owns the problem
            when told.is_settled and told.settled_at <= now() - make_interval(secs => c.repeat_s) then 'repeat'
        end as kind) due
    where a.closed_at is null and a.parent_id is null and a.priority > 0
      and case
            when due.kind is null then false
            when due.kind = 'repeat' and exists (select from check_state s where s.check_id = a.check_id and s.owner <> '') then false
            else exists (select from suppression_of(a) as held where held.reason is null)
          end
    union all
    -- a resolve, if a trigger or repeat may have arrived; after 72 hours it would help nobody
    select a.alert_id, t.channel, 'resolve', 1
    from alerts a join alert_targets t using (alert_id)
    where not a.is_settled and a.closed_at is not null and a.closed_at > now() - interval '72 hours'
      and exists (select from notifications x
                  where x.alert_id = a.alert_id and x.channel = t.channel and x.kind in ('trigger', 'repeat') and x.may_have_arrived)
      and not exists (select from notifications x
                      where x.alert_id = a.alert_id and x.channel = t.channel and x.kind = 'resolve');
