-- What is monitored: hosts, and the definitions of their checks.
--
-- These tables are cold: people and registrations write them, runs do not. What a run writes stands in
-- check_state (0002), so that a registration or an edit can never overwrite a result, nor a result an edit.

create table hosts (
    host_id           bigint generated always as identity primary key,
    hostname          text not null,
    ip                text not null,
    port              integer not null default 5050,
    roles             text[] not null default '{}',
    -- null: the original's agent, which does not limit how long its scripts run (semantics.md, decision 3)
    agent_version     text,
    -- lower-case hex SHA-256 of the leaf certificate that the agent must show; null until one is known
    cert_sha256       text,
    cert_origin       text,
    -- sent to this agent in X-CHECK-KEY; null: the server's own check_key
    check_key         text,
    -- SHA-256 of the token that later registrations of this name must show
    token_hash        bytea,
    -- outcomes in a row, of any check of this host, in which the agent could not be reached, and since when
    unreachable_count integer not null default 0,
    unreachable_since timestamptz,
    created_at        timestamptz not null default now(),
    registered_at     timestamptz not null default now(),
    constraint hosts_hostname_is_unique unique (hostname),
    constraint hosts_hostname_is_named check (hostname <> ''),
    constraint hosts_port_is_a_port check (port between 1 and 65535),
    constraint hosts_pin_is_a_fingerprint check (cert_sha256 ~ '^[0-9a-f]{64}$'),
    constraint hosts_pin_has_an_origin check (cert_origin in ('registered', 'first_seen') and (cert_origin is null) = (cert_sha256 is null))
);

-- The recorder asks "is any of these hosts being counted as unreachable?" with every batch. In health this index
-- is empty, so the question costs nothing.
create index hosts_unreachable on hosts (host_id) where unreachable_since is not null;
create index hosts_ip on hosts (ip);
create index hosts_cert_sha256 on hosts (cert_sha256);

create table checks (
    check_id        bigint generated always as identity primary key,
    host_id         bigint not null references hosts on delete cascade,
    name            text not null,
    kind            text not null default 'agent',
    made_by         text not null default 'agent',
    cmd             text,
    args            text not null default '',
    interval_s      integer not null,
    follow_up_s     integer not null,
    priority        smallint not null default 1,
    -- null: the server's setting, of this and of the thresholds
    timeout_s       integer,
    alert_threshold integer,
    flap_threshold  integer,
    flap_window_s   integer,
    created_at      timestamptz not null default now(),
    registered_at   timestamptz not null default now(),
    -- no longer named by its agent: keeps its id, state and history, and comes back as it was (decision 9)
    removed_at      timestamptz,
    constraint checks_name_is_unique_on_its_host unique (host_id, name),
    constraint checks_name_is_named check (name <> ''),
    constraint checks_kind_is_known check (kind in ('agent')),
    constraint checks_maker_is_known check (made_by in ('agent', 'person')),
    constraint checks_interval_is_sane check (interval_s between 1 and 604800),
    constraint checks_follow_up_is_sane check (follow_up_s between 1 and 604800),
    constraint checks_priority_is_known check (priority between 0 and 2),
    constraint checks_timeout_is_sane check (timeout_s between 1 and 3600),
    constraint checks_thresholds_are_positive check (alert_threshold > 0 and flap_threshold > 0 and flap_window_s > 0)
);
