-- The hot table: one narrow row per check, rewritten twice at every run (claim, record).
--
-- Its cost decides the cost of the system. An update is HOT (touches no index, is pruned without vacuum) only if
-- it changes no column of any index, predicates included, and its page has room. Hence:
--   * no index holds a column that changes at every run: not due_at, not the lease, not last_at;
--   * fillfactor 50 leaves room for the next version of every row on its page;
--   * vacuum comes early and unthrottled, for what pruning cannot do;
--   * nothing has a foreign key to this table: each insert would lock the hot row.
-- Measured: 2.5 times the runs and half the WAL of the usual btree on the due time.

create table check_state (
    check_id     bigint primary key,
    -- copies of the definition, so that claiming and recording read this row alone
    interval_s   integer not null,
    -- the millisecond within its interval at which the check is due: random once, kept for ever. This *is* the
    -- staggering, and it survives every restart. Milliseconds, because whole seconds make a herd each second.
    phase_ms     integer not null,
    -- null: the server's setting; a lease lasts 15 s longer
    timeout_s    integer,
    due_at       timestamptz not null,
    -- set: the check is off its grid and due at this time (retries, run now, what the sweep found)
    rush_at      timestamptz,
    -- the fencing token and the time limit of whoever runs it now
    lease        bigint,
    leased_until timestamptz,
    suspended    boolean not null default false,
    removed      boolean not null default false,
    -- 0 ok, 1 warning, 2 critical, 3 unknown; null before the first answered run
    status       smallint,
    -- the last outcome said nothing about the check, because its agent could not be reached
    unreachable  boolean not null default false,
    -- failing for at least the threshold of runs: its alert is open
    hard         boolean not null default false,
    fails        integer not null default 0,
    since        timestamptz,
    last_at      timestamptz,
    latency_us   integer not null default 0,
    -- first line of the output with its perfdata, at most 1 KiB; the rest is in outputs
    out          text not null default '',
    owner        text not null default '',
    -- the times of the last flips, and until when the check flaps; written at a flip only
    flips        timestamptz[] not null default '{}',
    flap_until   timestamptz,
    constraint check_state_phase_is_in_its_interval check (phase_ms >= 0 and phase_ms < interval_s * 1000),
    constraint check_state_status_is_known check (status between 0 and 3)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

create index check_state_grid on check_state (interval_s, phase_ms) where not suspended and not removed;
create index check_state_rush on check_state (rush_at) where rush_at is not null and not suspended and not removed;
-- What people look at first. Its columns change only when a status does.
create index check_state_failing on check_state (check_id) where status <> 0 or unreachable;

-- The full text of a check's last telling run, kept apart because it is wide and rarely changes.
create table outputs (
    check_id bigint primary key,
    at       timestamptz not null,
    out      text not null,
    err      text not null
);
