//! Samples: what a check's plugin measured.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use stalker_db::samples::read;
use stalker_db::series;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::checks::require;
use crate::App;
use crate::access::ScopedViewer;
use crate::error::{Error, Failures, Unknown};
use crate::extract::{Path, Query, time};

/// Steps in one answer: more than a screen has columns.
const MOST_STEPS: i64 = 11_000;
/// Points in one answer, of all series together: what is held of it in memory.
const MOST_POINTS: i64 = 50_000;
/// Steps if nobody says how long they are, and there are not too many series.
const STEPS: i64 = 500;
const HOUR_S: i64 = 3600;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_samples))
}

/// What was measured, by series.
#[derive(Serialize, ToSchema)]
struct Samples {
    /// From when, unix seconds.
    #[schema(example = 1_364_100_000)]
    from: i64,
    /// Until before when, unix seconds.
    #[schema(example = 1_364_186_204)]
    to: i64,
    /// Seconds of a step.
    #[schema(minimum = 1, example = 172)]
    step: i64,
    /// One for each label that the plugin has printed.
    series: Vec<Series>,
}

/// One of the numbers that a plugin prints.
#[derive(Serialize, ToSchema)]
struct Series {
    /// Its name.
    #[schema(example = "load1")]
    label: String,
    /// The unit of the points: `s`, `B`, `%`, … or empty.
    #[schema(example = "s")]
    unit: String,
    /// The unit that the plugin prints, which is that of the thresholds.
    #[schema(example = "ms")]
    printed_unit: String,
    /// When the plugin would warn, as it was printed.
    #[schema(required, example = "1")]
    warn: Option<String>,
    /// When it would be critical.
    #[schema(required, example = "2")]
    crit: Option<String>,
    /// The smallest value possible.
    #[schema(required, example = 0.0)]
    min: Option<f64>,
    /// The greatest value possible.
    #[schema(required, example = json!(null))]
    max: Option<f64>,
    /// In the order of time; a step in which nothing was measured has none.
    points: Vec<Point>,
}

/// What was measured within one step.
#[derive(Serialize, ToSchema)]
struct Point {
    /// When the step begins, unix seconds.
    #[schema(example = 1_364_186_196)]
    time: i64,
    /// How many values there are.
    #[schema(minimum = 1, example = 11)]
    n: i64,
    /// The least of them.
    #[schema(example = 0.1)]
    min: f64,
    /// Their mean.
    #[schema(example = 0.15)]
    mean: f64,
    /// The greatest.
    #[schema(example = 0.2)]
    max: f64,
}

/// Of which time, in which steps.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Span {
    /// Since then, unix seconds. Default: a day before `to`.
    #[param(value_type = Option<f64>, minimum = 0, exclusive_maximum = 253_402_300_800_u64)]
    #[serde(default, deserialize_with = "time")]
    from: Option<DateTime<Utc>>,
    /// Before then, unix seconds. Default: now.
    #[param(value_type = Option<f64>, minimum = 0, exclusive_maximum = 253_402_300_800_u64)]
    #[serde(default, deserialize_with = "time")]
    to: Option<DateTime<Utc>>,
    /// Seconds of a step. Whole hours reach as far back as hours are kept. Default: a five-hundredth of the time, and in
    /// whole hours if it is longer than one.
    #[param(minimum = 1, maximum = 31_536_000)]
    step: Option<u32>,
    /// Only the series of this label.
    label: Option<String>,
}

/// The samples of a check
///
/// Least, mean and greatest value of each step; steps begin at multiples of their length. At most 11,000 steps, and
/// 50,000 points of all series together. Needs access viewer.
#[utoipa::path(
    get,
    path = "/samples/{id}",
    tag = "checks",
    params(("id" = String, Path, description = "Id of the check", example = "17"), Span),
    security(("api_key" = [])),
    responses((status = 200, description = "The samples by series", body = Samples), Unknown, Failures)
)]
async fn list_samples(
    ScopedViewer(caller): ScopedViewer,
    State(app): State<App>,
    Path(id): Path<String>,
    Query(span): Query<Span>,
) -> Result<Json<Samples>, Error> {
    let check_id = require(&app, &id, &caller).await?.check_id;
    // the end of what somebody looks at; nothing is decided by it
    let now = Utc::now();
    let to = span.to.unwrap_or(now);
    let from = span.from.unwrap_or(to - TimeDelta::days(1));
    let length_s = (to - from).num_seconds();
    if length_s <= 0 {
        return Err(Error::field("from", "must be before `to`"));
    }
    let mut known = series::of_checks(&app.pool, &[check_id]).await?;
    if let Some(label) = span.label {
        known.retain(|series| series.label == label);
    }
    let most_steps = MOST_STEPS.min(MOST_POINTS / known.len().max(1) as i64);
    let step_s = span.step.map_or_else(
        || fitting_step(length_s, STEPS.min(most_steps.max(1))),
        i64::from,
    );
    if !(1..=31_536_000).contains(&step_s) {
        return Err(Error::field("step", "must be from 1 to 31536000 s"));
    }
    if length_s / step_s > most_steps {
        return Err(Error::field(
            "step",
            format!(
                "makes {} steps of {} series; {most_steps} steps are the most: ask for longer ones, a shorter time, or one `label`",
                length_s / step_s,
                known.len(),
            ),
        ));
    }
    let ids: Vec<i64> = known.iter().map(|series| series.series_id).collect();
    let step = i32::try_from(step_s).map_err(|_| Error::Internal)?;
    let mut points: BTreeMap<i64, Vec<Point>> = BTreeMap::new();
    for point in read::of_series(&app.pool, &ids, from, to, step).await? {
        points.entry(point.series_id).or_default().push(Point {
            time: point.at.timestamp(),
            n: point.n,
            min: point.min,
            mean: point.mean,
            max: point.max,
        });
    }
    let series = known.into_iter().map(|series| Series {
        points: points.remove(&series.series_id).unwrap_or_default(),
        label: series.label,
        unit: series.unit,
        printed_unit: series.raw_unit,
        warn: series.warn,
        crit: series.crit,
        min: series.min,
        max: series.max,
    });
    Ok(Json(Samples {
        from: from.timestamp(),
        to: to.timestamp(),
        step: step_s,
        series: series.collect(),
    }))
}

/// Seconds of a step of which there are at most about so many.
fn fitting_step(length_s: i64, steps: i64) -> i64 {
    let step_s = ((length_s + steps - 1) / steps).max(1);
    match step_s {
        ..HOUR_S => step_s,
        longer => ((longer + HOUR_S - 1) / HOUR_S).min(31_536_000 / HOUR_S) * HOUR_S,
    }
}
