-- Whose tries to sign in are counted, who exactly did what, and what became of a check while its alert was open.

set local lock_timeout = '10s';

-- Under which key the tries of an account or an address are counted (send_rates). What somebody typed as a name is perhaps
-- a password, so neither is kept as it is.
create function sign_in_key(of_what text, value text) returns text immutable language sql as $$
    select 'sign-in ' || of_what || ' ' || encode(sha256(convert_to(value, 'UTF8')), 'hex')
$$;

-- The network of a session's address, by which tries are counted: whoever has one address of IPv6 has 2^64 of them.
alter table sessions add column network text;
update sessions set network = address;
alter table sessions alter column network set not null;

-- Names of keys are not unique, and users may be deleted and made anew.
alter table audit add column actor_id bigint;

-- As before, and with what became of the check: from the last time that it was well to its recovery. Of a host, when its
-- checks could not be reached.
create or replace function explain_alert(of_alert bigint) returns table (at timestamptz, channel text, event text, why text) stable language sql as $$
    with alert as (select a as row, a.* from alerts a where a.alert_id = of_alert),
    told as (select n.* from notifications n where n.alert_id = of_alert),
    story as (
        select a.opened_at as at, null::text as channel, 'opened' as event, 1 as rank, 0::bigint as id,
               format('%s, priority %s%s', case a.kind when 'check' then 'check ' || a.check_name || ' on ' || a.hostname
                                                       when 'host' then 'host ' || a.hostname || ' cannot be reached'
                                                       when 'cluster' then 'cluster ' || a.hostname || ' cannot be reached'
                                                       else 'flood' || coalesce(' of ' || nullif(a.hostname, ''), ' overall') end,
                      a.priority, case when a.is_of_flapping then ', of flapping' else '' end)
               || case when a.kind = 'flood' and a.closed_at is null
                       then format(', %s open members', (select count(*) from alerts m where m.parent_id = a.alert_id and m.closed_at is null)) else '' end
               || coalesce(', ' || case a.status when 0 then 'ok' when 1 then 'warning' when 2 then 'critical' when 3 then 'unknown' end, '')
               || coalesce(': ' || nullif(a.out, ''), '') as why
        from alert a
        union all
        select s.at, null, 'changed', 0, s.change_id,
               case when a.kind = 'host' then s.check_name || ': ' else '' end
               || case when s.unreachable then 'unreachable' else (array['ok', 'warning', 'critical', 'unknown'])[s.status + 1] || case when s.status = 0 then '' when s.hard then ', hard' else ', soft' end end
               || coalesce(': ' || nullif(left(s.out, 200), ''), '')
        from alert a
        join lateral (select a.check_id where a.check_id is not null union all
                      select k.check_id from checks k where a.kind = 'host' and k.host_id = a.host_id and k.kind = 'agent') k on true
        cross join lateral (
            -- a retry may be far away, but not a day; and the bound spares partitions
            select coalesce(max(before.at), a.opened_at - interval '1 day') as at from state_changes before
            where before.check_id = k.check_id and before.at < a.opened_at and before.at > a.opened_at - interval '1 day'
              and case a.kind when 'host' then not before.unreachable else before.status = 0 and not before.unreachable end) well
        join state_changes s on s.check_id = k.check_id and s.at > well.at and s.at <= coalesce(a.closed_at, now())
        -- what it opened with is told there
        where case a.kind when 'check' then s.at <> a.opened_at else s.unreachable end
        union all
        select t.added_at, t.channel, 'target', 2, 0, t.why from alert_targets t where t.alert_id = of_alert
        union all
        select s.began_at, null, 'suppressed', 3, s.suppression_id, suppression_in_words(a.row, s.reason, s.began_at, s.ended_at)
        from suppressions s, alert a where s.alert_id = of_alert
        union all
        select s.ended_at, null, 'not suppressed', 4, s.suppression_id, 'the end of: ' || s.reason
        from suppressions s where s.alert_id = of_alert and s.ended_at is not null
        union all
        select n.created_at, n.channel, 'owed', 5, n.notification_id, format('%s %s', n.kind, n.n) || case
                   when n.kind = 'trigger' and held.alerts > 10
                   then format(', held until %s: more than 10 alerts opened within 10 s', utc(n.created_at + interval '10 s')) else '' end
        from told n cross join lateral (
            -- what the function is_burst said at that time
            select count(*) as alerts from alerts b
            where n.kind = 'trigger' and b.kind <> 'flood'
              and b.counted_at > n.created_at - interval '10 s' and b.counted_at <= n.created_at) as held
        union all
        select t.began_at, n.channel, 'attempt', 6, t.attempt_id, format('%s %s, attempt %s: ', n.kind, n.n, t.n) || case
                   when t.ended_at is null then 'under way'
                   else concat_ws(', ', coalesce(t.error, 'accepted'), 'HTTP ' || t.http_status, t.latency_ms || ' ms',
                                  case when t.error is not null and t.may_have_arrived then 'may have arrived all the same' end) end
        from told n join attempts t using (notification_id)
        union all
        select a.closed_at, null, 'closed', 7, 0, a.close_reason from alert a where a.closed_at is not null
        union all
        select n.settled_at, n.channel, n.state, 8, n.notification_id, concat_ws(': ', n.kind || ' ' || n.n, n.reason)
        from told n where n.state in ('refused', 'dropped', 'superseded')
        union all
        select now(), c.name, 'not a target', 8, 0,
               case a.kind when 'flood' then 'no member concerns it' else 'no route leads there' end
        from alert a cross join channels c
        where a.closed_at is null and c.retired_at is null
          and not exists (select from alert_targets t where t.alert_id = a.alert_id and t.channel = c.name)
        union all
        select now(), w.channel, 'waits', 9, 0, w.why from alert a cross join lateral awaited(a.row, suppression(a.row)) w
        where not a.is_settled)
    select at, channel, event, why from story order by rank = 9, at, rank, id, channel
$$;
