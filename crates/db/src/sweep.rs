//! Finding what no claiming window will: lost leases, rows that were passed over, and a clock that went back.

use sqlx::PgPool;

/// How many runs a second all checks together are due for. Reads the whole table: keep it for a while.
///
/// # Errors
/// If the database does not answer.
pub async fn steady_rate(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select coalesce(ceil(sum(1.0 / interval_s)), 0)::bigint as "rate!" from check_state where not suspended and not removed"#
    )
    .fetch_one(pool)
    .await
}

/// Pages of the hot table that one statement looks at: some 100,000 checks, a few hundredths of a second.
const SLICE: i64 = 4000;

/// Puts at most `most` such checks into the rush lane. Returns how many.
///
/// However many checks there are, it looks at one slice of them and goes on where it ended at the next call; but as long as
/// it finds something it goes on at once.
///
/// # Errors
/// If the database does not answer; some may have been put there then.
pub async fn rush_what_was_lost(pool: &PgPool, most: i64) -> sqlx::Result<u64> {
    let table = sqlx::query!(
        r#"
        select position as "position!", pg_relation_size('check_state') / current_setting('block_size')::bigint as "pages!"
        from duties where name = 'sweep'
        "#
    )
    .fetch_one(pool)
    .await?;
    let mut page = if table.position < table.pages {
        table.position
    } else {
        0
    };
    let mut looked_at = 0;
    let mut found: u64 = 0;
    while looked_at < table.pages {
        let of_slice = rush_of_slice(pool, most - found.cast_signed(), page).await?;
        found += of_slice;
        if found.cast_signed() >= most {
            break; // this slice may have more
        }
        looked_at += SLICE;
        page = if page + SLICE < table.pages {
            page + SLICE
        } else {
            0
        };
        if of_slice == 0 {
            break;
        }
    }
    sqlx::query!(
        "update duties set position = $1 where name = 'sweep' and position <> $1",
        page
    )
    .execute(pool)
    .await?;
    Ok(found)
}

async fn rush_of_slice(pool: &PgPool, most: i64, page: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        r#"
        -- A worker that is behind still comes to what lies before it; one that is behind by a whole interval, to all of its
        -- checks. It told so up to a second ago.
        with behind as materialized (
            select coalesce(max(behind_ms), 0) as ms from replicas where component = 'worker' and seen_at > now() - interval '5 s'),
        lost as materialized (
            select check_state.ctid as place from check_state cross join behind
            where check_state.ctid >= format('(%s,0)', $2::bigint)::tid and check_state.ctid < format('(%s,0)', $3::bigint)::tid
              and not suspended and not removed and rush_at is null
              and (leased_until < now()                                                        -- a lease ran out
                or (leased_until is null and due_at < now() - interval '2 s' - behind.ms * interval '1 ms'
                    and (behind.ms = 0 or interval_s * 1000::bigint > behind.ms + 1000))       -- in nobody's window
                or (leased_until is null and due_at > now() + make_interval(secs => interval_s + 1)))  -- the database's clock went back
            limit $1 for no key update of check_state skip locked)
        update check_state set rush_at = now() where ctid = any (array(select place from lost))
        "#,
        most,
        page,
        page + SLICE,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
