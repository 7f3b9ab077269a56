//! HTTP: what agents, people and programs ask of a cluster, and its description as OpenAPI.
//!
//! `routes` has one file per resource, `access` says who may call, `error` what a client hears when something is
//! wrong. A list is streamed by `list`, a registration read by `registration`. Every path, name and shape is a
//! promise made to the original system's agents and clients.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use ipnet::IpNet;
use sqlx::PgPool;
use stalker_clusters::Clusters;
use stalker_db::api_keys;
use stalker_db::audit::{Actor, Kind};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

mod access;
mod browsers;
mod client;
mod cookie;
mod error;
mod etag;
mod extract;
mod fields;
mod layers;
mod list;
mod openapi;
mod origin;
pub mod passwords;
mod rate;
mod registration;
mod routes;
pub mod secret;
mod server;

pub use openapi::{broken_promises, openapi_yaml};

/// What the API must know; see `[api]` in `default.toml`. It holds keys, so it has no `Debug`.
#[derive(Clone)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What agents show in `X-REGISTER-KEY`.
    pub register_key: String,
    /// A key with access admin, for `X-API-KEY`; kept in the database as a hash.
    pub api_key: Option<String>,
    /// The name of this cluster.
    pub cluster_id: String,
    /// The other clusters.
    pub clusters: Clusters,
    /// Where people reach it.
    pub public_url: Option<String>,
    /// Whether agents may register that have no token, as the original's.
    pub allow_tokenless: bool,
    /// Other sites whose pages may call the API, as `https://example.net`; `*` for all.
    pub cors_origins: Vec<String>,
    /// Proxies that are believed when they say for whom they ask.
    pub trusted_proxies: Vec<IpNet>,
    /// Requests per second from one address, over some time; none for any number.
    pub requests_per_s: Option<NonZeroU32>,
}

impl Config {
    /// Whether browsers reach it by TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.public_url
            .as_ref()
            .is_some_and(|url| url.starts_with("https://"))
    }
}

/// What every handler can reach.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) pool: PgPool,
    pub(crate) config: Arc<Config>,
    pub(crate) rates: Arc<rate::Rates>,
}

/// Serves the API until `shutdown`. `listening` is told the address as soon as connections are accepted. The
/// database may come and go meanwhile.
///
/// # Errors
/// If the address cannot be listened on.
pub async fn run(
    config: Config,
    pool: PgPool,
    shutdown: CancellationToken,
    listening: impl FnOnce(SocketAddr) + Send,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(config.listen).await.map_err(|error| {
        anyhow!(
            "cannot listen on {}: {error}; set api.listen",
            config.listen
        )
    })?;
    let address = listener
        .local_addr()
        .context("the listening socket has no address")?;
    // The first try comes before the first request, so that who waits for us to listen can use its key.
    let key = config.api_key.clone();
    let key_is_stored = store_key(&pool, key.as_deref(), address)
        .await
        .inspect_err(|error| warn!(%error, "api.api_key cannot be used until the database answers and is migrated"))
        .is_ok();
    for cluster in config
        .clusters
        .iter()
        .filter(|cluster| cluster.is_overheard())
    {
        warn!(
            cluster = cluster.id(),
            "clusters.{}.host begins with http://: whoever is on the way there can read the key; https:// would not show it",
            cluster.id()
        );
    }
    info!(%address, "the API listens");
    listening(address);
    passwords::prepare().await;
    let app = App {
        pool: pool.clone(),
        rates: Arc::new(rate::Rates::new(config.requests_per_s)),
        config: Arc::new(config),
    };
    let key_stored_later = async {
        let mut is_stored = key_is_stored;
        while !is_stored {
            tokio::time::sleep(Duration::from_secs(1)).await;
            is_stored = store_key(&pool, key.as_deref(), address).await.is_ok();
        }
    };
    tokio::join!(
        server::serve(listener, routes::router(app), &shutdown),
        shutdown.run_until_cancelled(key_stored_later)
    );
    Ok(())
}

async fn store_key(pool: &PgPool, key: Option<&str>, address: SocketAddr) -> sqlx::Result<()> {
    let Some(key) = key else {
        // another replica may have one: whoever starts without must not lock everybody out
        if let Some(key_id) = api_keys::left_configured(pool).await? {
            warn!(
                "there is no api.api_key here, and that of another configuration, key {key_id}, still opens everything; \
                 if it is not meant to: stalkerd key revoke {key_id}"
            );
        }
        return Ok(());
    };
    let actor = Actor {
        kind: Kind::Command,
        id: None,
        name: "configuration".to_owned(),
        address: address.ip().to_string(),
        on_behalf_of: None,
    };
    api_keys::put_configured(pool, key, &actor).await
}
