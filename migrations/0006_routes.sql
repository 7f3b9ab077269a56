-- Which channels an alert concerns: routes, written by every worker at its start, as channels are.

-- A pattern of routes and of maintenances: * stands for any text, ? for one character, all else for itself. No
-- patterns match everything.
create function matches_glob(value text, patterns text[]) returns boolean immutable language sql as $$
    select patterns is null or exists (
        select from unnest(patterns) as pattern
        where value like replace(replace(regexp_replace(pattern, '([\\%_])', '\\\1', 'g'), '*', '%'), '?', '_'))
$$;

-- Whether one of several values, such as a host's roles, matches.
create function any_matches_glob(several text[], patterns text[]) returns boolean immutable language sql as $$
    select patterns is null or exists (select from unnest(several) as value where matches_glob(value, patterns))
$$;

-- Asked in their order; the first that matches ends the search unless it says to continue. Null matches everything.
create table routes (
    position   integer primary key,
    hosts      text[],
    roles      text[],
    checks     text[],
    kinds      text[],
    priorities smallint[],
    -- warning, critical, unknown; of a host's alert: unreachable
    statuses   text[],
    channels   text[] not null,
    continues  boolean not null default false,
    constraint routes_position_counts_from_1 check (position > 0),
    constraint routes_lead_somewhere check (cardinality(channels) > 0)
);

-- How bad a status is: a worse one may concern further channels. Unknown may be worse than a warning: nobody knows.
create function severity(status smallint) returns integer immutable language sql as $$
    select case status when 1 then 1 when 3 then 2 when 2 then 3 else 0 end
$$;

-- The channels that the routes of today name for an alert, and why. The one home of this rule (decision 5). Without
-- routes every channel is told.
create function routed(alert alerts) returns table (channel text, why text) stable language sql as $$
    with matching as (
        select r.position, r.channels, r.continues from routes r
        where matches_glob(alert.hostname, r.hosts)
          and matches_glob(alert.check_name, r.checks)
          and (r.roles is null or any_matches_glob((select h.roles from hosts h where h.host_id = alert.host_id), r.roles))
          -- only checks of kind agent can make a host unreachable
          and (r.kinds is null or matches_glob(coalesce((select k.kind from checks k where k.check_id = alert.check_id), 'agent'), r.kinds))
          and (r.priorities is null or alert.priority = any (r.priorities))
          and (r.statuses is null or case alert.kind when 'host' then 'unreachable' else (array['ok', 'warning', 'critical', 'unknown'])[alert.status + 1] end = any (r.statuses))),
    reached as (
        select position, unnest(channels) as channel from matching m
        where not exists (select from matching before where before.position < m.position and not before.continues))
    select c.name, 'route ' || min(r.position) from channels c join reached r on r.channel = c.name where c.retired_at is null group by c.name
    union all
    select c.name, 'no routes: every channel' from channels c where c.retired_at is null and not exists (select from routes)
$$;

-- Says which settings a channel had when it was last put here, and nothing of them: dead letters of a channel that was
-- changed deserve another try.
alter table channels add column settings_id text;

-- Which secret an alert was told with on a channel: its repeats and its resolve need the same.
create function told_with(of_alert bigint, to_channel text) returns text stable language sql as $$
    select n.secret_id from notifications n
    where n.alert_id = of_alert and n.channel = to_channel and n.kind <> 'resolve' and n.may_have_arrived and n.secret_id is not null
    order by n.notification_id desc limit 1
$$;
