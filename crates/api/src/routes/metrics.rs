//! What Prometheus reads: how channels and other clusters do.
//!
//! The text format 0.0.4 is a dozen lines to write, fewer than to set up a library for it.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use stalker_db::channels::{self, Listed};
use stalker_db::clusters::{self, Cluster};
use stalker_db::stats;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::access::Viewer;
use crate::error::{Error, Failures};

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_metrics))
}

/// How channels and other clusters do, for Prometheus
///
/// Text format 0.0.4. It needs a key, for names of channels may be somebody's telephone number. Needs access viewer.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "cluster",
    security(("api_key" = [])),
    responses((status = 200, description = "Gauges", body = String, content_type = "text/plain"), Failures)
)]
async fn get_metrics(_: Viewer, State(app): State<App>) -> Result<Response, Error> {
    let mut channels = channels::list(&app.pool).await?;
    // what is no longer configured, and of which nothing waits, is no news
    channels
        .retain(|channel| channel.retired_at.is_none() || channel.pending + channel.sending > 0);
    let owed = stats::count_owed(&app.pool).await?;
    let clusters = clusters::list(&app.pool).await?;
    let text = text(&channels, &clusters, owed);
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// A number of a channel's notifications.
type Count = fn(&Listed) -> i64;

const WAITING: [(&str, Count); 2] = [("pending", |c| c.pending), ("sending", |c| c.sending)];
const SETTLED: [(&str, Count); 4] = [
    ("accepted", |c| c.accepted_1h),
    ("refused", |c| c.refused_1h),
    ("dropped", |c| c.dropped_1h),
    ("superseded", |c| c.superseded_1h),
];

fn text(channels: &[Listed], clusters: &[Cluster], owed: i64) -> String {
    let gauges = [
        gauge(
            "stalker_notifications",
            "Notifications that are not over.",
            &by_state(channels, &WAITING),
        ),
        gauge(
            "stalker_notifications_settled_last_hour",
            "Notifications that were over within the last hour.",
            &by_state(channels, &SETTLED),
        ),
        gauge(
            "stalker_dead_letters",
            "Notifications that were refused for good, and that another try could still deliver.",
            &by_channel(channels, |c| Some(c.dead_letters as f64)),
        ),
        gauge(
            "stalker_oldest_pending_seconds",
            "Age of the oldest notification that waits and is not suppressed; 0 if none does.",
            &by_channel(channels, |c| Some(c.oldest_pending_s.unwrap_or(0.0))),
        ),
        gauge(
            "stalker_last_accepted_timestamp_seconds",
            "When a channel accepted something for the last time.",
            &by_channel(channels, |c| c.accepted_at.map(|at| at.timestamp() as f64)),
        ),
        gauge(
            "stalker_channel_disabled",
            "1 if nothing is sent there, because the receiver said that it is gone for good.",
            &by_channel(channels, |c| Some(f64::from(c.disabled_at.is_some()))),
        ),
        gauge(
            "stalker_owed",
            "What the alerts of now demand and nobody has written down yet; 0 while schedulers do their duties.",
            &[(String::new(), owed as f64)],
        ),
        gauge(
            "stalker_cluster_reached",
            "1 if another cluster answers, also if only to refuse our key.",
            &by_cluster(clusters, |c| f64::from(c.failing_since.is_none())),
        ),
        gauge(
            "stalker_cluster_in_order",
            "1 if what it answers is as it should be.",
            &by_cluster(clusters, |c| f64::from(c.error.is_none())),
        ),
    ];
    gauges.concat()
}

/// A metric: its head, and a line for each of its values, which come with their labels.
fn gauge(name: &str, help: &str, values: &[(String, f64)]) -> String {
    let mut text = format!("# HELP {name} {help}\n# TYPE {name} gauge\n");
    for (labels, value) in values {
        text.push_str(&format!("{name}{labels} {value}\n"));
    }
    text
}

fn by_state(channels: &[Listed], counts: &[(&str, Count)]) -> Vec<(String, f64)> {
    let of_channel = |channel: &Listed| {
        let name = escaped(&channel.name);
        let count = |(state, count): &(&str, Count)| {
            let labels = format!("{{channel=\"{name}\",state=\"{state}\"}}");
            (labels, count(channel) as f64)
        };
        counts.iter().map(count).collect::<Vec<_>>()
    };
    channels.iter().flat_map(of_channel).collect()
}

fn by_channel(channels: &[Listed], value: impl Fn(&Listed) -> Option<f64>) -> Vec<(String, f64)> {
    let of_channel = |channel: &Listed| {
        let labels = format!("{{channel=\"{}\"}}", escaped(&channel.name));
        value(channel).map(|value| (labels, value))
    };
    channels.iter().filter_map(of_channel).collect()
}

fn by_cluster(clusters: &[Cluster], value: impl Fn(&Cluster) -> f64) -> Vec<(String, f64)> {
    let of_cluster = |cluster: &Cluster| {
        let labels = format!("{{cluster=\"{}\"}}", escaped(&cluster.cluster));
        (labels, value(cluster))
    };
    clusters.iter().map(of_cluster).collect()
}

/// A label's value: whoever configures a channel chooses its name.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
