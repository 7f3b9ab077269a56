-- Indexes of alerts of clusters. In a migration of their own: alerts can be read while they are made, and what 0017 did to the table
-- is over by then.

-- Whoever waits for these locks lets everybody wait behind it: rather fail, and be run again at a quieter time.
set local lock_timeout = '10s';

create unique index alerts_one_open_per_cluster on alerts (hostname) where kind = 'cluster' and closed_at is null;
-- The list of what was unreachable, in the order of ids; of an expression that only lists ask for, as alerts_of_a_kind is.
create index alerts_unreachable on alerts (alert_id) where kind || '' in ('host', 'cluster');
