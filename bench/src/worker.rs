//! The part of a worker: the product's own, with its runs counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use stalker_db::Pools;
use stalker_domain::thresholds::Thresholds;
use stalker_worker::probe::Probes;
use stalker_worker::{Config, run_with};
use tokio_util::sync::CancellationToken;

use crate::child::{self, Questions};
use crate::lateness::Lateness;
use crate::load::Answers;
use crate::stand_in::{Counted, StandIn};

/// What it is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) database_url: String,
    pub(crate) connections: u32,
    pub(crate) slots: usize,
    /// Answers of its own; none: agents are called.
    pub(crate) answers: Option<Answers>,
    /// The key that agents want to see.
    pub(crate) check_key: String,
    /// The URL of the channel that is told of alerts.
    pub(crate) channel: Option<String>,
}

pub(crate) async fn run(task: Task, mut asked: Questions) -> anyhow::Result<()> {
    let pools = Pools::new(&task.database_url, task.connections)?;
    let config = config(&task)?;
    let lateness = Arc::new(Mutex::new(Lateness::default()));
    let shutdown = CancellationToken::new();
    let counted = lateness.clone();
    let work = {
        let (pools, shutdown) = (pools.clone(), shutdown.clone());
        async move {
            match task.answers {
                Some(answers) => {
                    let probe = Counted {
                        probe: StandIn(answers),
                        lateness: counted,
                    };
                    run_with(probe, config, pools, shutdown).await
                }
                None => {
                    let probe = Probes::new(&config, pools.durable.clone())?;
                    let probe = Counted {
                        probe,
                        lateness: counted,
                    };
                    run_with(probe, config, pools, shutdown).await
                }
            }
        }
    };
    let mut working = tokio::spawn(work);
    let counted = || std::mem::take(&mut *lateness.lock().unwrap_or_else(PoisonError::into_inner));
    tokio::select! {
        answered = child::answer(&mut asked, counted) => answered?,
        ended = &mut working => {
            ended??;
            anyhow::bail!("a worker has ended by itself");
        }
    }
    shutdown.cancel();
    working.await??;
    pools.close().await;
    Ok(())
}

/// The defaults of `stalkerd`'s own default.toml, but for what the load says.
fn config(task: &Task) -> anyhow::Result<Config> {
    let mut channels = BTreeMap::new();
    if let Some(url) = &task.channel {
        let channel = serde_json::json!({ "provider": "http", "url": url });
        channels.insert("bench".to_owned(), serde_json::from_value(channel)?);
    }
    Ok(Config {
        slots: task.slots,
        check_timeout_s: 10,
        lease_s: 25,
        check_key: Some(task.check_key.clone()),
        thresholds: Thresholds::default(),
        pause_file: None,
        idle_connections_per_agent: 64,
        notifications_expiration_s: 172_800,
        public_url: None,
        channels,
        routes: Vec::new(),
    })
}
