//! Series: what samples are numbers of. Written when a plugin prints a label for the first time, or changes its mind
//! about unit, thresholds or bounds; otherwise only read.

use sqlx::PgPool;
use stalker_domain::perfdata;

/// A series, as it is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its id.
    pub series_id: i64,
    /// Whose it is.
    pub check_id: i64,
    /// Its name among those of its check.
    pub label: String,
    /// The base unit of its values.
    pub unit: String,
    /// The unit as it was printed.
    pub raw_unit: String,
    /// When the plugin would warn, as it was printed.
    pub warn: Option<String>,
    /// When it would be critical.
    pub crit: Option<String>,
    /// The smallest value possible.
    pub min: Option<f64>,
    /// The greatest value possible.
    pub max: Option<f64>,
}

/// All series of these checks, those of one check in the order in which they came to be.
///
/// # Errors
/// If the database does not answer.
pub async fn of_checks(pool: &PgPool, check_ids: &[i64]) -> sqlx::Result<Vec<Series>> {
    sqlx::query_as!(
        Series,
        "select series_id, check_id, label, unit, raw_unit, warn, crit, min, max from series
         where check_id = any ($1) order by check_id, series_id",
        check_ids
    )
    .fetch_all(pool)
    .await
}

/// Makes series, or changes those that are there. A check has each label once. Returns their ids, in no order.
///
/// # Errors
/// If the database does not answer, or a text is one that it cannot keep; nothing was done then.
pub async fn put(
    pool: &PgPool,
    series: &[(i64, &perfdata::Sample)],
) -> sqlx::Result<Vec<(i64, String, i64)>> {
    let check_ids: Vec<i64> = series.iter().map(|(check_id, _)| *check_id).collect();
    let labels: Vec<&str> = series
        .iter()
        .map(|(_, as_printed)| as_printed.label.as_str())
        .collect();
    let units: Vec<&str> = series
        .iter()
        .map(|(_, as_printed)| as_printed.unit.symbol())
        .collect();
    let raw_units: Vec<&str> = series
        .iter()
        .map(|(_, as_printed)| as_printed.raw_unit.as_str())
        .collect();
    let warns: Vec<Option<&str>> = series
        .iter()
        .map(|(_, as_printed)| as_printed.warn.as_deref())
        .collect();
    let crits: Vec<Option<&str>> = series
        .iter()
        .map(|(_, as_printed)| as_printed.crit.as_deref())
        .collect();
    let mins: Vec<Option<f64>> = series
        .iter()
        .map(|(_, as_printed)| as_printed.min)
        .collect();
    let maxs: Vec<Option<f64>> = series
        .iter()
        .map(|(_, as_printed)| as_printed.max)
        .collect();
    let rows = sqlx::query!(
        r#"
        insert into series (check_id, label, unit, raw_unit, warn, crit, min, max)
        select * from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::float8[], $8::float8[])
                 as u(check_id, label, unit, raw_unit, warn, crit, min, max)
        -- two workers that meet must lock in one order
        order by check_id, label
        on conflict (check_id, label) do update
        set unit = excluded.unit, raw_unit = excluded.raw_unit, warn = excluded.warn, crit = excluded.crit,
            min = excluded.min, max = excluded.max
        returning check_id, label, series_id
        "#,
        &check_ids,
        &labels as &[&str],
        &units as &[&str],
        &raw_units as &[&str],
        &warns as &[Option<&str>],
        &crits as &[Option<&str>],
        &mins as &[Option<f64>],
        &maxs as &[Option<f64>],
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.check_id, row.label, row.series_id))
        .collect())
}

/// Series that are looked at in one call of [`delete_empty`].
const LOOKED_AT: i64 = 20_000;

/// However many hours there are, those of a series are looked up by their key: any other plan would read them all.
const BEGIN_DELETE: &str = "begin; set local enable_hashjoin = off; set local enable_mergejoin = off; set local enable_seqscan = off";

/// Deletes series that have no hours (any more): their check is gone, or has not measured them for as long as hours are
/// kept. What was made within a day of what is rolled up may have samples that are in no hour yet. If there are very many
/// series, only some are looked at, other ones at each call: there is no hurry. Returns how many were deleted.
///
/// # Errors
/// If the database does not answer.
pub async fn delete_empty(pool: &PgPool) -> sqlx::Result<u64> {
    let mut tx = pool.begin_with(BEGIN_DELETE).await?;
    let done = sqlx::query!(
        r#"
        delete from series where series_id = any (array(
            select s.series_id
            from (select series_id, created_at from series
                  where series_id >= (select (random() * greatest(max(series_id) - $1, 0))::bigint from series)
                  order by series_id limit $1) s
            where s.created_at < (select rolled_until - interval '1 day' from sample_roll_up)
              and not exists (select from sample_hours h where h.series_id = s.series_id)))
        "#,
        LOOKED_AT
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}
