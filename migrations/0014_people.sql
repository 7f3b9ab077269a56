-- Who may do what, and who did what: users with their sessions, keys with scopes, tokens of hosts, overrides, notes, audit.

-- Whoever waits for these locks lets everybody wait behind it: rather fail, and be run again at a quieter time.
set local lock_timeout = '10s';

create table users (
    user_id       bigint generated always as identity primary key,
    username      text not null,
    email         text not null default '',
    theme         text not null default 'default',
    access        text not null,
    -- Argon2id, as a PHC string
    password_hash text not null,
    created_at    timestamptz not null default now(),
    constraint users_username_is_unique unique (username),
    constraint users_access_is_known check (access in ('viewer', 'operator', 'admin'))
);

create table sessions (
    session_id bigint generated always as identity primary key,
    user_id    bigint not null references users on delete cascade,
    -- SHA-256 of 256 random bits, which only the browser has
    hash       bytea not null unique,
    address    text not null,
    -- what the browser calls itself
    agent      text not null,
    created_at timestamptz not null default now(),
    -- written at most once a minute
    seen_at    timestamptz not null default now()
);
create index sessions_of_a_user on sessions (user_id);

-- A session lives for a week, and ends after half a day in which nobody used it: the one home of this rule.
create function is_alive(session sessions) returns boolean stable language sql as $$
    select session.created_at > now() - interval '7 days' and session.seen_at > now() - interval '12 hours'
$$;

alter table api_keys
    add column made_by text not null default '',
    drop constraint api_keys_access_is_known,
    add constraint api_keys_access_is_known check (access in ('viewer', 'operator', 'admin', 'register')),
    -- no list of hosts, no scope: what an empty one would mean, nobody would guess
    add constraint api_keys_scope_says_something check (scope is null or (cardinality(scope) > 0 and access in ('viewer', 'operator')));

-- A token counts once its agent has shown it: an answer that was lost must not lock a host out.
alter table hosts add column token_is_shown boolean not null default false;

-- What an agent declares of a check, what people set in its place, and what holds: the first is written by registrations
-- alone, the second by people alone, and the third by neither.
alter table checks rename column interval_s to declared_interval_s;
alter table checks rename column follow_up_s to declared_follow_up_s;
alter table checks rename column priority to declared_priority;
alter table checks rename column alert_threshold to declared_alert_threshold;
alter table checks rename column flap_threshold to declared_flap_threshold;
alter table checks rename column flap_window_s to declared_flap_window_s;
alter table checks
    add column override_interval_s      integer,
    add column override_follow_up_s     integer,
    add column override_priority        smallint,
    add column override_alert_threshold integer,
    add column override_flap_threshold  integer,
    add column override_flap_window_s   integer,
    add column interval_s      integer not null generated always as (coalesce(override_interval_s, declared_interval_s)) stored,
    add column follow_up_s     integer not null generated always as (coalesce(override_follow_up_s, declared_follow_up_s)) stored,
    add column priority        smallint not null generated always as (coalesce(override_priority, declared_priority)) stored,
    add column alert_threshold integer generated always as (coalesce(override_alert_threshold, declared_alert_threshold)) stored,
    add column flap_threshold  integer generated always as (coalesce(override_flap_threshold, declared_flap_threshold)) stored,
    add column flap_window_s   integer generated always as (coalesce(override_flap_window_s, declared_flap_window_s)) stored,
    add constraint checks_overrides_are_sane check (
        override_interval_s between 1 and 604800 and override_follow_up_s between 1 and 604800 and override_priority between 0 and 2
        and override_alert_threshold between 1 and 1000 and override_flap_threshold between 2 and 1000 and override_flap_window_s between 1 and 604800);

-- What people write down about a host; it outlives the host, as history does.
create table notes (
    note_id  bigint generated always as identity primary key,
    hostname text not null,
    author   text not null,
    note     text not null,
    at       timestamptz not null default now(),
    -- names of the checks that were failing then
    alerting text[] not null
);
create index notes_of_a_host on notes (hostname, note_id);

-- Every write by somebody: who, what, before, after, from where. It grows and never changes.
create table audit (
    audit_id   bigint generated always as identity primary key,
    at         timestamptz not null default now(),
    actor_kind text not null,
    actor      text not null,
    -- an IP address; empty for a command on a server
    address    text not null,
    -- an operation of the API; of a command its words
    action     text not null,
    subject    text not null,
    before     jsonb,
    after      jsonb,
    constraint audit_actor_is_known check (actor_kind in ('user', 'key', 'agent', 'command', 'nobody'))
);
create index audit_of_an_actor on audit (actor, audit_id);
create index audit_of_an_action on audit (action, audit_id);
create index audit_of_a_subject on audit (subject, audit_id);
create index audit_of_a_time on audit using brin (at);
-- Not even the owner may, unless he first gives himself the right; a superuser is asked by nobody, so there is a trigger too.
revoke update, delete, truncate on audit from public, current_user;
create function refuse_to_forget() returns trigger language plpgsql as $$
begin
    raise exception 'the audit is append-only';
end $$;
create trigger audit_is_append_only before update or delete or truncate on audit for each statement execute function refuse_to_forget();

-- What lists are asked for, an index each. Neither column changes at every run, so runs still update in place.
create index check_state_owner on check_state (owner, check_id) where owner <> '';
create index check_state_suspended on check_state (check_id) where suspended and not removed;
create index checks_of_a_name on checks (name, check_id);
create index hosts_roles on hosts using gin (roles);
create index hosts_hostname_prefix on hosts (hostname text_pattern_ops);
create index hosts_ip_prefix on hosts (ip text_pattern_ops);
create index alerts_of_a_host on alerts (host_id, alert_id);
create index alerts_of_a_check_name on alerts (check_name, alert_id);
create index alerts_open on alerts (alert_id) where closed_at is null;
create index alerts_of_a_check on alerts (check_id, alert_id);
create index alerts_opened on alerts (opened_at);
create index suppressions_in_force on suppressions (reason, alert_id) where ended_at is null;

insert into duties (name, every_s) values ('sessions', 3600);
