//! A cluster in eight numbers: this one, another, all of them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use stalker_clusters::{Cluster, Look, Numbers};
use stalker_db::stats;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::access::Viewer;
use crate::error::{Error, Failures, Unknown};
use crate::extract::Path;

/// Stands for every cluster.
const ALL: &str = "all";

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_stats))
        .routes(routes!(get_cluster_stats))
}

/// Numbers, of checks but for the last two.
#[derive(Serialize, ToSchema)]
struct Stats {
    /// Due, and not held by a worker.
    #[schema(minimum = 0, example = 3)]
    qsize: i64,
    /// Failing.
    #[schema(minimum = 0, example = 2)]
    failing: i64,
    /// Flapping.
    #[schema(minimum = 0, example = 0)]
    flapping: i64,
    /// Suspended.
    #[schema(minimum = 0, example = 1)]
    suspended: i64,
    /// All.
    #[schema(minimum = 0, example = 120)]
    checks: i64,
    /// Held by a worker.
    #[schema(minimum = 0, example = 4)]
    pending: i64,
    /// Notifications that a channel has refused for good, and that another try could still deliver.
    #[schema(minimum = 0, example = 0)]
    dead_letters: i64,
    /// Channels to which nothing is sent, because their receiver said that it is gone for good.
    #[schema(minimum = 0, example = 0)]
    disabled_channels: i64,
}

/// Statistics of this cluster
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/stats",
    tag = "cluster",
    security(("api_key" = [])),
    responses((status = 200, description = "Numbers under the cluster's name", body = BTreeMap<String, Stats>), Failures)
)]
async fn get_stats(
    _: Viewer,
    State(app): State<App>,
) -> Result<Json<BTreeMap<String, Stats>>, Error> {
    Ok(Json(BTreeMap::from([(
        app.config.cluster_id.clone(),
        count(&app).await?,
    )])))
}

/// Numbers of any cluster, of checks but for `dead_letters`, `disabled_channels` and `age`. Null is what it does not say: it was
/// never reached, or is of the original's, which count less.
#[derive(Serialize, ToSchema)]
struct ClusterNumbers {
    /// Due, and not held by a worker.
    #[schema(required, minimum = 0, example = 3)]
    qsize: Option<i64>,
    /// Failing.
    #[schema(required, minimum = 0, example = 2)]
    failing: Option<i64>,
    /// Flapping.
    #[schema(required, minimum = 0, example = 0)]
    flapping: Option<i64>,
    /// Suspended.
    #[schema(required, minimum = 0, example = 1)]
    suspended: Option<i64>,
    /// All.
    #[schema(required, minimum = 0, example = 120)]
    checks: Option<i64>,
    /// Held by a worker.
    #[schema(required, minimum = 0, example = 4)]
    pending: Option<i64>,
    /// Notifications that a channel has refused for good, and that another try could still deliver.
    #[schema(required, minimum = 0, example = 0)]
    dead_letters: Option<i64>,
    /// Channels to which nothing is sent, because their receiver said that it is gone for good.
    #[schema(required, minimum = 0, example = 0)]
    disabled_channels: Option<i64>,
    /// Seconds since the cluster said so; null if it never said anything.
    #[schema(required, minimum = 0, example = 3)]
    age: Option<u64>,
    /// Why it has not said anything since; null if it has not been asked again, or is this one.
    #[schema(required, example = json!(null))]
    error: Option<String>,
}

impl From<Stats> for ClusterNumbers {
    fn from(own: Stats) -> Self {
        Self {
            qsize: Some(own.qsize),
            failing: Some(own.failing),
            flapping: Some(own.flapping),
            suspended: Some(own.suspended),
            checks: Some(own.checks),
            pending: Some(own.pending),
            dead_letters: Some(own.dead_letters),
            disabled_channels: Some(own.disabled_channels),
            age: Some(0),
            error: None,
        }
    }
}

impl From<Look<Numbers>> for ClusterNumbers {
    fn from(look: Look<Numbers>) -> Self {
        let number = |name: &str| {
            look.good
                .as_ref()
                .and_then(|(numbers, _)| numbers.get(name))
        };
        Self {
            qsize: number("qsize"),
            failing: number("failing"),
            flapping: number("flapping"),
            suspended: number("suspended"),
            checks: number("checks"),
            pending: number("pending"),
            dead_letters: number("dead_letters"),
            disabled_channels: number("disabled_channels"),
            age: look.good.as_ref().map(|(_, age)| age.as_secs()),
            error: look.error.as_deref().map(str::to_owned),
        }
    }
}

/// Statistics of a cluster, or of all.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum ClusterStats {
    /// Numbers under the cluster's name.
    One(BTreeMap<String, ClusterNumbers>),
    /// Numbers under the clusters' names, under `all`.
    All(BTreeMap<String, BTreeMap<String, ClusterNumbers>>),
}

/// Statistics of a cluster, or of all
///
/// `all` stands for all of them, each under its name. Another cluster is asked at most every few seconds; while it does not
/// answer, what it said last is answered, with its age. Needs access viewer.
#[utoipa::path(
    get,
    path = "/stats/{cluster}",
    tag = "cluster",
    params(("cluster" = String, Path, description = "Id of a cluster, or `all`", example = "all")),
    security(("api_key" = [])),
    responses((status = 200, description = "Numbers under the cluster's name", body = ClusterStats), Unknown, Failures)
)]
async fn get_cluster_stats(
    _: Viewer,
    State(app): State<App>,
    Path(cluster): Path<String>,
) -> Result<Json<ClusterStats>, Error> {
    let own = &app.config.cluster_id;
    if cluster == ALL {
        let others = app.config.clusters.iter().map(look);
        let (here, others) = tokio::join!(count(&app), futures::future::join_all(others));
        let here = (own.clone(), ClusterNumbers::from(here?));
        let all = others.into_iter().chain([here]).collect();
        return Ok(Json(ClusterStats::All(BTreeMap::from([(
            ALL.to_owned(),
            all,
        )]))));
    }
    let one = match app.config.clusters.get(&cluster) {
        _ if cluster == *own => (own.clone(), count(&app).await?.into()),
        Some(cluster) => look(cluster).await,
        None => return Err(Error::NotFound(format!("no cluster is called {cluster:?}"))),
    };
    Ok(Json(ClusterStats::One(BTreeMap::from([one]))))
}

async fn look(cluster: &Cluster) -> (String, ClusterNumbers) {
    let numbers = cluster.numbers().await;
    (cluster.id().to_owned(), numbers.into())
}

async fn count(app: &App) -> Result<Stats, Error> {
    let counted = stats::count(&app.pool).await?;
    Ok(Stats {
        qsize: counted.due,
        failing: counted.failing,
        flapping: counted.flapping,
        suspended: counted.suspended,
        checks: counted.checks,
        pending: counted.leased,
        dead_letters: counted.dead_letters,
        disabled_channels: counted.disabled_channels,
    })
}
