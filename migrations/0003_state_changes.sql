-- History: a row per state change, partitioned by day so that retention drops tables and deletes nothing.
--
-- No foreign keys: history outlives what it tells of, and an insert must not lock the hot row. The default
-- partition is the net for the day when no scheduler has run for a week: recording must never fail for want of
-- a partition.

create table state_changes (
    change_id   bigint generated always as identity,
    check_id    bigint not null,
    hostname    text not null,
    check_name  text not null,
    at          timestamptz not null,
    status      smallint,
    unreachable boolean not null,
    hard        boolean not null,
    out         text not null,
    owner       text not null,
    primary key (change_id, at)
) partition by range (at);
create index state_changes_of_a_check on state_changes (check_id, at desc, change_id desc);
create table state_changes_default partition of state_changes default;

-- Makes the partition of one day. Rows that wait in the default partition move into it.
create function make_state_changes_partition(day date) returns void language plpgsql as $$
declare
    part text := 'state_changes_' || to_char(day, 'YYYYMMDD');
    lo timestamptz := day::timestamp at time zone 'UTC';
    hi timestamptz := (day + 1)::timestamp at time zone 'UTC';
begin
    if to_regclass(part) is not null then
        return;
    end if;
    -- Who waits for this lock lets every recorder wait behind it: rather try again in an hour.
    perform set_config('lock_timeout', '500ms', true);
    execute format('create table %I (like state_changes including defaults including constraints)', part);
    execute format('with moved as (delete from state_changes_default where at >= %L and at < %L returning *) insert into %I select * from moved', lo, hi, part);
    execute format('alter table state_changes attach partition %I for values from (%L) to (%L)', part, lo, hi);
end $$;

select make_state_changes_partition((now() at time zone 'UTC')::date + d) from generate_series(0, 7) as d;

-- Drops the partitions of days before the given one, and what lies as long in the default partition.
create function drop_state_changes_partitions(before date) returns integer language plpgsql as $$
declare
    part record;
    dropped integer := 0;
begin
    -- as above
    perform set_config('lock_timeout', '500ms', true);
    for part in
        select c.oid::regclass as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'state_changes'::regclass and c.relname ~ '^state_changes_\d{8}$' and right(c.relname, 8) < to_char(before, 'YYYYMMDD')
    loop
        execute format('drop table %s', part.name);
        dropped := dropped + 1;
    end loop;
    delete from state_changes_default where at < before::timestamp at time zone 'UTC';
    return dropped;
end $$;
