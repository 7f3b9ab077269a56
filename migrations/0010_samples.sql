-- Perfdata: what plugins measured. A sample is 24 bytes of data and there may be tens of thousands a second, so it holds
-- nothing but a number: what it is a number of stands in `series`, which is rewritten only when a plugin changes its mind.
--
-- No foreign keys: each insert would lock a row of `series`, and samples leave as whole partitions.

create table series (
    series_id  bigint generated always as identity primary key,
    check_id   bigint not null,
    label      text not null,
    -- of the values: a base unit; `raw_unit` is what was printed
    unit       text not null,
    raw_unit   text not null,
    -- ranges as they were printed, in the printed unit
    warn       text,
    crit       text,
    min        double precision,
    max        double precision,
    created_at timestamptz not null default now(),
    constraint series_of_a_check_have_labels unique (check_id, label)
);

-- By day, as history is, and with the same net below it.
create table samples (
    series_id bigint not null,
    at        timestamptz not null,
    value     double precision not null
) partition by range (at);
create index samples_of_a_series on samples (series_id, at);
-- For who asks for a time and not for a series: the roll-up. Rows lie in the order of their time, so that a few bytes for
-- each megabyte are enough.
create index samples_of_a_time on samples using brin (at) with (pages_per_range = 64);
create table samples_default partition of samples default;

-- Hours of samples, by month. A row is written six times, by slices of ten minutes: with room on its page for a second
-- version, five of these touch no index.
create table sample_hours (
    series_id bigint not null,
    hour      timestamptz not null,
    n         integer not null,
    min       double precision not null,
    max       double precision not null,
    sum       double precision not null,
    primary key (series_id, hour)
) partition by range (hour);
create table sample_hours_default partition of sample_hours default with (fillfactor = 50);

-- How far the roll-up is: samples before this time are in `sample_hours`, others are not. One row; who rolls up locks it.
create table sample_roll_up (
    only_row     boolean primary key default true check (only_row),
    rolled_until timestamptz not null
);
insert into sample_roll_up (rolled_until) values (date_bin('10 min', now(), timestamptz 'epoch'));

-- Brings the index by time up to date for a day: what it does not know is read by everybody who asks it. Vacuum does so when
-- the day has grown by a fifth, which may be hours of samples.
-- Its patience is short, so that a vacuum that is under way, which does the same, does not give way.
create function summarize_samples(day date) returns void language plpgsql set lock_timeout = '100ms' as $$
begin
    perform brin_summarize_new_values(i.indexrelid)
    from pg_index i join pg_class p on p.oid = i.indrelid join pg_class x on x.oid = i.indexrelid join pg_am a on a.oid = x.relam
    where a.amname = 'brin' and p.relname in ('samples_default', 'samples_' || to_char(day, 'YYYYMMDD'));
exception when lock_not_available then
    return;
end $$;

-- One pair of functions for every table that is partitioned by time; `step` is day or month. Their names end with the day
-- or the month, so that names sort as times do. Who waits for these locks lets every recorder wait behind it: rather give
-- way, and try again.

-- Makes the partition that holds the given day, with the storage options of the default partition. Rows that wait in that
-- one move into it, and who writes there waits so long; more than a moment's worth of them stay until they are old.
create function make_partition(parent regclass, step text, day date) returns void language plpgsql set lock_timeout = '500ms' as $$
declare
    lo timestamptz := date_trunc(step, day::timestamp) at time zone 'UTC';
    hi timestamptz := (date_trunc(step, day::timestamp) + ('1 ' || step)::interval) at time zone 'UTC';
    whole text := (select relname from pg_class where oid = parent);
    part text := whole || '_' || to_char(lo at time zone 'UTC', partition_suffix(step));
    key text := substring(pg_get_partkeydef(parent) from '\((.*)\)');
    stays boolean;
    options text := (select 'with (' || array_to_string(reloptions, ', ') || ')' from pg_class where relname = whole || '_default');
begin
    if to_regclass(part) is not null then
        return;
    end if;
    if pg_relation_size((whole || '_default')::regclass) > 64 * 1024 * 1024 then
        execute format('select exists (select from %I where %s >= %L and %s < %L)', whole || '_default', key, lo, key, hi) into stays;
        if stays then
            return;
        end if;
    end if;
    execute format('lock table %I in access exclusive mode', whole || '_default');
    execute format('create table %I (like %s including defaults including constraints) %s', part, parent, coalesce(options, ''));
    execute format('with moved as (delete from %I where %s >= %L and %s < %L returning *) insert into %I select * from moved',
                   whole || '_default', key, lo, key, hi, part);
    execute format('alter table %s attach partition %I for values from (%L) to (%L)', parent, part, lo, hi);
end $$;

create function partition_suffix(step text) returns text immutable language sql as $$
    select case step when 'day' then 'YYYYMMDD' when 'month' then 'YYYYMM' end
$$;

-- Drops the partitions that end before the given day begins, and what lies as long in the default partition. Returns
-- how many.
create function drop_partitions(parent regclass, step text, before date) returns integer language plpgsql set lock_timeout = '500ms' as $$
declare
    whole text := (select relname from pg_class where oid = parent);
    key text := substring(pg_get_partkeydef(parent) from '\((.*)\)');
    last text := to_char(before, partition_suffix(step));
    part record;
    dropped integer := 0;
begin
    for part in
        select c.oid::regclass as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = parent and c.relname ~ ('^' || whole || '_\d{' || length(last) || '}$')
          and right(c.relname, length(last)) < last
    loop
        execute format('drop table %s', part.name);
        dropped := dropped + 1;
    end loop;
    execute format('delete from %I where %s < %L', whole || '_default', key, before::timestamp at time zone 'UTC');
    return dropped;
end $$;

drop function make_state_changes_partition(date);
drop function drop_state_changes_partitions(date);

select make_partition('samples', 'day', (now() at time zone 'UTC')::date + d) from generate_series(0, 7) as d;
select make_partition('sample_hours', 'month', (now() at time zone 'UTC')::date + d) from generate_series(0, 7) as d;

insert into duties (name, every_s) values ('samples', 3600), ('sample_hours', 60);
