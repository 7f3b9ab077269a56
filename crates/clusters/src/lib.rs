//! Other clusters: asked what they see, and told what somebody here wants done there.
//!
//! `cluster` is the wire to one of them, `answers` reads what it says, whether it is one of ours or the original's, and
//! `kept` asks it once however many want to know, and remembers what it said last. A cluster's key is shown to that cluster and
//! to nobody else.

mod answers;
mod cluster;
mod kept;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

pub use answers::{Checks, Numbers, check, is_done, refusal, words};
pub use cluster::{Cluster, Failure, ON_BEHALF_OF_HEADER, Reply};
pub use kept::Look;

/// Where another cluster is, and what opens it. It holds a key, so it has no `Debug`.
#[derive(Clone)]
pub struct Config {
    /// Its URL, `http://` or `https://`.
    pub host: String,
    /// A key of its API.
    pub key: String,
    /// Certificate authorities that are trusted besides the web's, in PEM.
    pub ca_file: Option<PathBuf>,
}

/// The other clusters by their ids. Copies are the same: what one has asked, all know.
#[derive(Clone, Default)]
pub struct Clusters {
    by_id: Arc<BTreeMap<String, Cluster>>,
}

impl Clusters {
    /// Of this configuration: each must answer in whole within `timeout`, and what it says is good for `ttl`.
    ///
    /// # Errors
    /// Which setting of which cluster cannot be used, without its value if that is secret.
    pub fn new(
        configs: &BTreeMap<String, Config>,
        timeout: Duration,
        ttl: Duration,
    ) -> anyhow::Result<Self> {
        let clusters = configs.iter().map(|(id, config)| {
            let cluster = Cluster::new(id, config, timeout, ttl);
            Ok((
                id.clone(),
                cluster.with_context(|| format!("clusters.{id}"))?,
            ))
        });
        Ok(Self {
            by_id: Arc::new(clusters.collect::<anyhow::Result<_>>()?),
        })
    }

    /// The cluster of this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Cluster> {
        self.by_id.get(id)
    }

    /// All of them, by their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Cluster> {
        self.by_id.values()
    }
}

impl fmt::Debug for Clusters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_id.keys()).finish()
    }
}
