-- What an upgrade with open alerts needs.

-- What opened before floods were known, and is told, counted from when it opened: else all of it would count from now on
-- (the duty of what is set free), and open floods that nobody can join, for all of it was told long ago.
update alerts a set counted_at = a.opened_at
where a.counted_at is null and a.closed_at is null and a.kind <> 'flood' and suppression(a) is null;
