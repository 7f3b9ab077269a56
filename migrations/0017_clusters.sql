-- Other clusters: whether they can be reached, the alert of one that cannot, and for whom one of them acts here.

-- Whoever waits for these locks lets everybody wait behind it: rather fail, and be run again at a quieter time.
set local lock_timeout = '10s';

-- The configured clusters, as a scheduler found them. Their keys stay in configuration.
create table clusters (
    cluster       text primary key,
    -- when it was last asked; one that nobody asks any more is not configured any more
    asked_at      timestamptz not null default now(),
    -- when it last answered as one of its kind, even if only to refuse our key
    answered_at   timestamptz,
    -- since when it does not; null while it does
    failing_since timestamptz,
    -- what was wrong with the last answer, or that there was none
    error         text
) with (fillfactor = 50);

-- The alert of a cluster that cannot be reached: its hostname is the cluster's id. Nothing that is there already is of this kind, so
-- nobody need read it all while everybody waits. It stands alone: a scheduler of before, which would count it towards floods, is
-- refused.
alter table alerts
    drop constraint alerts_kind_is_known,
    add constraint alerts_kind_is_known check (kind in ('check', 'host', 'flood', 'cluster')) not valid,
    add constraint alerts_cluster_stands_alone check (
        kind <> 'cluster' or (hostname <> '' and parent_id is null and counted_at is null and host_id is null and check_id is null)) not valid;

-- A key may act for somebody whom another cluster knows: who that is, as it says.
alter table audit add column on_behalf_of text;

-- As before, and for clusters: of kind cluster, unreachable, of no role.
create or replace function routed(alert alerts) returns table (channel text, why text) stable language sql as $$
    with matching as (
        select r.position, r.channels, r.continues from routes r
        where matches_glob(alert.hostname, r.hosts)
          and matches_glob(alert.check_name, r.checks)
          and (r.roles is null or any_matches_glob((select h.roles from hosts h where h.host_id = alert.host_id), r.roles))
          -- only checks of kind agent can make a host unreachable
          and (r.kinds is null or matches_glob(case alert.kind when 'cluster' then 'cluster'
                                               else coalesce((select k.kind from checks k where k.check_id = alert.check_id), 'agent') end, r.kinds))
          and (r.priorities is null or alert.priority = any (r.priorities))
          and (r.statuses is null or case when alert.kind in ('host', 'cluster') then 'unreachable'
                                          else (array['ok', 'warning', 'critical', 'unknown'])[alert.status + 1] end = any (r.statuses))),
    reached as (
        select position, unnest(channels) as channel from matching m
        where not exists (select from matching before where before.position < m.position and not before.continues))
    select c.name, 'route ' || min(r.position) from channels c join reached r on r.channel = c.name where c.retired_at is null group by c.name
    union all
    select c.name, 'no routes: every channel' from channels c where c.retired_at is null and not exists (select from routes)
$$;

-- As before, but that a cluster's id is a host's name to maintenances.
create or replace function suppression_of(alert alerts) returns table (reason text) stable language sql as $$
    select case
        when alert.priority = 0 then 'priority 0'
        when alert.parent_id is not null then 'flood'
        when alert.host_id is not null
             and exists (select from maintenances m where m.ends_at > now() and m.starts_at <= now())
             and exists (select from hosts h cross join lateral maintenances_at(now(), alert.hostname, h.roles, alert.check_name) m where h.host_id = alert.host_id)
            then 'maintenance'
        when alert.kind = 'cluster' and exists (select from maintenances_at(now(), alert.hostname, null, '')) then 'maintenance'
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

insert into duties (name, every_s) values ('clusters', 5);
