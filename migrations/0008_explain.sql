-- Why each channel was told of an alert, or was not, and when: one question for people who ask afterwards, and for
-- those who wait now. It only reads what the engine wrote down anyway.

create function utc(at timestamptz) returns text stable language sql as $$
    select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
$$;

-- A suppression of an alert as a sentence: which maintenance, which flood. `ended` is null while it lasts.
create function suppression_in_words(alert alerts, reason text, began timestamptz, ended timestamptz) returns text stable language sql as $$
    select case reason
        when 'maintenance' then coalesce(
            -- by the roles that the host has today
            (select format('maintenance %s by %s until %s: %s', m.maintenance_id, m.author, utc(m.ends_at), m.reason)
             from maintenances_at(began, alert.hostname, (select h.roles from hosts h where h.host_id = alert.host_id), alert.check_name) m
             order by m.ends_at desc limit 1),
            'maintenance')
        when 'flood' then coalesce(
            -- who was handed back knows its flood no more; that closed in the same transaction
            (select format('flood: alert %s stands for this one', coalesce(f.alert_id, alert.parent_id))
             from (select) as one left join alerts f on f.kind = 'flood' and f.closed_at = ended
             where f.alert_id is not null or alert.parent_id is not null order by f.alert_id limit 1),
            'flood')
        when 'flapping' then 'flapping' || coalesce(' until ' || utc(case when ended is null then coalesce(
            (select s.flap_until from check_state s where s.check_id = alert.check_id),
            (select h.flap_until from hosts h where h.host_id = alert.host_id and alert.kind = 'host')) end), '')
        else reason
    end
$$;

-- What an alert waits for now, per channel. `held` is its suppression of now.
create function awaited(alert alerts, held text) returns table (channel text, why text) stable language sql as $$
    select null, case when exists (select from channels c where c.retired_at is null) then 'no target: no route matches' else 'no target: no channel is configured' end
    where alert.closed_at is null and not exists (select from alert_targets t where t.alert_id = alert.alert_id)
    union all
    select t.channel, case
        when waiting.state = 'sending' then format('%s %s is being sent', waiting.kind, waiting.n)
        when held is not null and waiting.kind is distinct from 'resolve' then 'suppressed: ' || suppression_in_words(alert, held, now(), null)
        when waiting.state = 'pending' and waiting.before is not null
            then format('%s %s waits for the end of notification %s, of the same key', waiting.kind, waiting.n, waiting.before)
        when waiting.state = 'pending' then format('next attempt of %s %s at %s', waiting.kind, waiting.n, utc(waiting.next_attempt_at))
        when owed.kind is not null then format('%s is owed; the scheduler adds it within a second', owed.kind)
        when s.owner <> '' then 'no repeat while it is owned by ' || s.owner
        when c.retired_at is not null then 'the channel is not configured any more'
        when last.settled_at is not null then 'repeat due at ' || utc(last.settled_at + make_interval(secs => c.repeat_s))
        else 'nothing'
    end
    from alert_targets t join channels c on c.name = t.channel
    left join lateral (
        select n.*, (select min(b.notification_id) from notifications b
                     where b.channel = n.channel and b.dedup_key = n.dedup_key and b.state in ('pending', 'sending')
                       and (b.alert_id, b.notification_id) < (n.alert_id, n.notification_id)) as before
        from notifications n
        where n.alert_id = t.alert_id and n.channel = t.channel and n.state in ('pending', 'sending')
        order by n.notification_id limit 1) as waiting on true
    left join lateral (
        select max(n.settled_at) as settled_at from notifications n
        where n.alert_id = t.alert_id and n.channel = t.channel and n.kind <> 'resolve' and n.state in ('accepted', 'refused')) as last on true
    left join owed on owed.alert_id = t.alert_id and owed.channel = t.channel
    left join check_state s on s.check_id = alert.check_id
    where t.alert_id = alert.alert_id and (alert.closed_at is null or waiting.state is not null or owed.kind is not null)
$$;

-- The story of one alert in the order of time; what it waits for now stands last.
create function explain_alert(of_alert bigint) returns table (at timestamptz, channel text, event text, why text) stable language sql as $$
    with alert as (select a as row, a.* from alerts a where a.alert_id = of_alert),
    told as (select n.* from notifications n where n.alert_id = of_alert),
    story as (
        select a.opened_at as at, null::text as channel, 'opened' as event, 1 as rank, 0::bigint as id,
               format('%s, priority %s%s', case a.kind when 'check' then 'check ' || a.check_name || ' on ' || a.hostname
                                                       when 'host' then 'host ' || a.hostname || ' cannot be reached'
                                                       else 'flood' || coalesce(' of ' || nullif(a.hostname, ''), ' overall') end,
                      a.priority, case when a.is_of_flapping then ', of flapping' else '' end)
               || case when a.kind = 'flood' and a.closed_at is null
                       then format(', %s open members', (select count(*) from alerts m where m.parent_id = a.alert_id and m.closed_at is null)) else '' end
               || coalesce(', ' || case a.status when 0 then 'ok' when 1 then 'warning' when 2 then 'critical' when 3 then 'unknown' end, '')
               || coalesce(': ' || nullif(a.out, ''), '') as why
        from alert a
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
