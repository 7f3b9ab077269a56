//! The clock of a case: it moves when the case says so, and else a thousand times slower than ours. A case that takes
//! a minute has lasted for less than a tenth of a second by itself, so what happens when is exact.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor, PgPool};
use stalker_tests::until::until;

use super::rules::Time;

/// Leases, duties and the like live by this clock too.
const SLOWER: u32 = 1000;
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes it so in a database with a settable clock. Gives the time at which it began, in the database's words.
pub(crate) async fn slow_down(pool: &PgPool) -> String {
    let began: String = sqlx::query_scalar("select clock.now()::text")
        .fetch_one(pool)
        .await
        .expect("there is a clock");
    // as clock.advance was, but for the pace
    let advance = format!(
        "create or replace procedure clock.advance(by interval) language plpgsql as $procedure$
         declare
             shift interval;
         begin
             update clock.shift set total = total + by returning total into shift;
             execute format('create or replace function clock.now() returns timestamptz stable language sql as %L',
                            format('select timestamptz ''{began}'' + (pg_catalog.now() - timestamptz ''{began}'') / {SLOWER} + %L::interval', shift));
         end $procedure$"
    );
    pool.execute(AssertSqlSafe(advance))
        .await
        .expect("the clock can be replaced");
    pool.execute("call clock.advance(interval '0')")
        .await
        .expect("the clock can be moved");
    pool.execute(AssertSqlSafe(hurry_duties()))
        .await
        .expect("duties can be hurried");
    began
}

/// Every few milliseconds of ours. A scheduler that finds all duties taken sleeps until a lease of this clock ends, so
/// these are short, and yet longer than any duty takes.
fn hurry_duties() -> String {
    format!(
        "create function clock.shorten_lease() returns trigger language plpgsql as $function$
         begin
             if new.leased_until is not null then
                 new.leased_until := now() + interval '20 s' / {SLOWER};
             end if;
             return new;
         end $function$;
         create trigger shorten_lease before update of leased_until on duties for each row execute function clock.shorten_lease();
         update duties set every_s = 0.02 / {SLOWER}, due_at = now() where every_s < 1"
    )
}

/// Moves the clock whatever is under way, so that leases of the dead run out.
pub(crate) async fn push(pool: &PgPool, by: Time) {
    until("the clock can be moved", PATIENCE, async || {
        let mut tx = pool.begin().await.ok()?;
        // a transaction that began before would see two times
        tx.execute("set local lock_timeout = '100ms'; lock table check_state, notifications, duties in exclusive mode").await.ok()?;
        sqlx::query("call clock.advance(make_interval(secs => $1))").bind(by as f64).execute(&mut *tx).await.ok()?;
        tx.commit().await.ok()
    })
    .await;
}
