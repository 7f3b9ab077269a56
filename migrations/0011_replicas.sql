-- Which processes are alive, for people to look at; and how far workers are behind, for the sweep: what a worker's
-- window still has before it is late, but not lost. Sweeping that as well made an overloaded system do everything twice:
-- each swept check costs four index entries.

create table replicas (
    replica_id bigint primary key,
    component  text not null,
    hostname   text not null,
    version    text not null,
    started_at timestamptz not null default now(),
    -- written every second; a process that was killed leaves its row behind
    seen_at    timestamptz not null default now(),
    -- of a worker: milliseconds from the oldest point of time that its windows have not passed yet until now
    behind_ms  bigint not null default 0,
    constraint replicas_component_is_known check (component in ('api', 'scheduler', 'worker'))
);

-- Where a duty that looks at a slice of something each time goes on; of the sweep, a page of check_state.
alter table duties add column position bigint not null default 0;
