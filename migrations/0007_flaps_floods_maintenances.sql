-- What keeps alerts from being told one by one: flapping, floods, maintenance (semantics.md, decisions 2, 4 and 6).

-- Whoever waits for these locks lets everybody wait behind it: rather fail, and be run again at a quieter time.
set local lock_timeout = '10s';

-- Since when a check flaps; with flips and flap_until, written at a flip only. Hosts flap as checks do.
alter table check_state add column flap_since timestamptz;
alter table hosts
    add column flips      timestamptz[] not null default '{}',
    add column flap_since timestamptz,
    add column flap_until timestamptz;

alter table alerts
    -- it tells of the flapping itself, so flapping does not suppress it
    add column is_of_flapping boolean not null default false,
    -- since when floods count it: nothing suppressed it then, when it opened or later
    add column counted_at     timestamptz,
    -- of a flood: what made it one, and whether what opens now joins it
    add column threshold      integer,
    add column window_s       integer,
    add column takes_in       boolean not null default false,
    add constraint alerts_flood_has_its_measure check ((kind = 'flood') = (threshold is not null) and (threshold is null) = (window_s is null)),
    add constraint alerts_only_floods_take_in check (not takes_in or (kind = 'flood' and closed_at is null));
-- Of the floods of one host, or of all, one takes in.
create unique index alerts_one_flood_takes_in on alerts (coalesce(host_id, 0)) where takes_in;
create index alerts_members on alerts (parent_id) where parent_id is not null;
create index alerts_counted on alerts (counted_at) where counted_at is not null;

-- Hosts, roles and checks that people work on: what happens there is seen and recorded, but nobody is told while it
-- lasts. Null matches everything; at least one of the three must say something.
create table maintenances (
    maintenance_id bigint generated always as identity primary key,
    starts_at      timestamptz not null default now(),
    ends_at        timestamptz not null,
    hosts          text[],
    roles          text[],
    checks         text[],
    author         text not null,
    reason         text not null,
    created_at     timestamptz not null default now(),
    constraint maintenances_end_after_their_start check (ends_at > starts_at),
    constraint maintenances_say_where check (coalesce(cardinality(hosts), 0) + coalesce(cardinality(roles), 0) + coalesce(cardinality(checks), 0) > 0)
);
create index maintenances_ends_at on maintenances (ends_at);

-- The maintenances that a check is or was in at a time; a host has no check name. Planners see through this where its
-- arguments are columns, so a list of 200,000 checks may ask it of each.
create function maintenances_at(at timestamptz, of_hostname text, of_roles text[], of_check text) returns setof maintenances stable language sql as $$
    select m.* from maintenances m
    where m.ends_at > at and m.starts_at <= at
      and matches_glob(of_hostname, m.hosts) and any_matches_glob(of_roles, m.roles) and matches_glob(of_check, m.checks)
$$;

-- As before, and complete: the order of the reasons is that of decision 6. It is asked of every open alert each second, so
-- what is dear comes after what is cheap.
create or replace function suppression(alert alerts) returns text stable language sql as $$
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

-- From when to when an alert was suppressed, and why: for people who ask afterwards why they were not told.
create table suppressions (
    suppression_id bigint generated always as identity primary key,
    alert_id       bigint not null references alerts on delete cascade,
    reason         text not null,
    began_at       timestamptz not null default now(),
    ended_at       timestamptz
);
create unique index suppressions_one_at_a_time on suppressions (alert_id) where ended_at is null;
create index suppressions_of_an_alert on suppressions (alert_id, began_at);

-- What counts towards a flood of this host, or of all if it is null: alerts that began to count in its window and that no
-- other flood speaks for. A host's flood counts as one.
create function counted_towards_flood(of_host bigint, of_flood bigint, within_s integer) returns setof alerts stable language sql as $$
    select a.* from alerts a
    where a.counted_at > now() - make_interval(secs => within_s)
      and (a.parent_id is null or a.parent_id = of_flood)
      and (of_host is null or (a.host_id = of_host and a.kind <> 'flood'))
$$;

-- Whether a flood has ended its growth: at most half its threshold began to count in the last window. `but_for` are
-- alerts that do so just now: they would join it.
create function flood_is_full(flood alerts, but_for bigint[]) returns boolean stable language sql as $$
    select count(*) <= flood.threshold / 2
    from (select from counted_towards_flood(flood.host_id, flood.alert_id, flood.window_s) c where c.alert_id <> all (but_for) limit flood.threshold) as counted
$$;

-- Whether a flood is over: it takes in no more, at most half its threshold of members are open, and none has closed within
-- the last window, for those that recover one after the other are no news. Or none is open.
create function flood_is_over(flood alerts) returns boolean stable language sql as $$
    select not flood.takes_in and m.open <= flood.threshold / 2
       and (m.open = 0 or m.last_closed_at is null or m.last_closed_at <= now() - make_interval(secs => flood.window_s))
    from (select count(*) filter (where m.closed_at is null) as open, max(m.closed_at) as last_closed_at
          from alerts m where m.parent_id = flood.alert_id) as m
$$;

-- Whether so many alerts began to count just now that a new trigger waits a little: a flood may speak for its alert.
create function is_burst() returns boolean stable language sql as $$
    select count(*) > 10
    from (select from alerts a where a.kind <> 'flood' and a.counted_at > now() - interval '10 s' limit 11) as counted
$$;
