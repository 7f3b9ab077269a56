-- Who may call the API, and what the schedulers do.

create table api_keys (
    key_id       bigint generated always as identity primary key,
    name         text not null,
    -- SHA-256 of the key: keys are 256 random bits, so a slow hash would protect nothing
    hash         bytea not null unique,
    access       text not null,
    -- roles of the hosts that it may see; null: all
    scope        text[],
    created_at   timestamptz not null default now(),
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    constraint api_keys_access_is_known check (access in ('viewer', 'operator', 'admin'))
);

-- What happens only because time passed. Each is claimed like a check, so that any number of schedulers share
-- them, and each is idempotent, so that one that was killed in the middle is simply done again.
create table duties (
    name         text primary key,
    every_s      integer not null check (every_s > 0),
    due_at       timestamptz not null default now(),
    lease        bigint,
    leased_until timestamptz,
    last_at      timestamptz,
    last_ms      integer,
    last_error   text
);
insert into duties (name, every_s) values ('sweep', 1), ('owed', 1), ('state_changes', 3600);
