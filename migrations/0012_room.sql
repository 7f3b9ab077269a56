-- A page of the hot table has room for more than one version of each row, and is pruned when that room is used up, not at
-- every visit. PostgreSQL has one setting for both: it fills a page up to its fillfactor, and prunes once it is fuller.
-- With 50 a page is half empty and pruned each time it is touched: a quarter of the log and a fifth of the time of a run.
--
-- So pages are filled up to 70, by rows that are born longer than they live: the first claim takes this column away, and
-- what is left fills half of the page.

-- Whoever waits for the lock lets all others wait behind it.
set local lock_timeout = '10s';
alter table check_state set (fillfactor = 70), add column room text;
-- apart from the above, or rows that exist would have it too
alter table check_state alter column room set default repeat(' ', 160);
