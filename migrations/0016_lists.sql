-- What lists are asked for, an index each, as far as 0014 has none. No column here changes at every run, so runs still
-- update in place: what stands in an index of check_state changes when a check's state does, or by hand.

-- Whoever waits for these locks lets everybody wait behind it: rather fail, and be run again at a quieter time.
set local lock_timeout = '10s';

-- Any status can be the rare one: ok is, when a network is down. It is the status as lists show it, where what cannot be
-- reached is unknown.
create index check_state_shown on check_state ((case when unreachable then 3 else status end), check_id) where not removed;
-- Most of what fails may be soft.
create index check_state_hard on check_state (check_id) where hard;

-- Checks are the rule. Of an expression that only lists ask for: the engine, whose statistics may know of no host's alert, is
-- not to take it for a short way to those that are open.
create index alerts_of_a_kind on alerts ((kind || ''), alert_id) where kind || '' <> 'check';
-- The status of an open alert changes, and that must stay in place (0009). There are few of those.
create index alerts_closed_of_a_status on alerts (status, alert_id) where closed_at is not null;
create index alerts_closed on alerts (alert_id) where closed_at is not null;
-- A flood may have as many members as there are alerts.
create index alerts_members_in_order on alerts (parent_id, alert_id) where parent_id is not null;
-- With their ids, so that a time becomes a bound of ids without a look at the table.
drop index alerts_opened;
create index alerts_opened on alerts (opened_at, alert_id);

-- Accepted is what nearly all are, and if a channel accepts nothing, nearly none.
drop index notifications_in_a_state;
create index notifications_in_a_state on notifications (state, notification_id);

-- Entries come in the order of both: each is written at the end, into a page that is in memory. The index that it replaces
-- could say where a time is only to 128 pages.
drop index audit_of_a_time;
create index audit_of_a_time on audit (at, audit_id);

-- Many hosts may be behind one address; the first is wanted.
drop index hosts_ip;
create index hosts_ip on hosts (ip, host_id);
