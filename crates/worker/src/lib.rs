//! What happens because something is due: checks are run and recorded, owed notifications are sent.
//!
//! Both are one mechanism, [`lane`]: claim from a table, run, settle. `due_checks` and `owed_notifications` say
//! from which table; `probe` how an outcome is obtained, `notify` how a message is sent; `recorder` gathers
//! outcomes into batches. Any number of workers run at once and none knows of another.

pub mod config;
mod due_checks;
mod lane;
mod notify;
mod owed_notifications;
mod probe;
pub mod recorder;

use std::sync::Arc;
use std::time::Duration;

use stalker_db::{Pools, channels};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use config::Config;

/// Runs until `shutdown`: then what has not started is given back, what runs has [`lane::DRAIN`] to end.
///
/// A database that is away is waited for, at the start and later.
///
/// # Errors
/// If the TLS client cannot be set up.
pub async fn run(config: Config, pools: Pools, shutdown: CancellationToken) -> anyhow::Result<()> {
    let config = Arc::new(config);
    let told = Arc::new(Notify::new());
    tokio::select! {
        () = put_channels(&config, &pools) => {}
        () = shutdown.cancelled() => return Ok(()),
    }
    let names: Vec<&String> = config.channels.keys().collect();
    tracing::info!(slots = config.slots, channels = ?names, "worker runs");
    tokio::try_join!(
        due_checks::run(
            config.clone(),
            pools.clone(),
            told.clone(),
            shutdown.clone()
        ),
        owed_notifications::run(config, pools, told, shutdown),
    )?;
    Ok(())
}

async fn put_channels(config: &Config, pools: &Pools) {
    let channels: Vec<channels::Channel> = config
        .channels
        .iter()
        .map(|(name, channel)| channel.row(name, config.notifications_expiration_s))
        .collect();
    let mut wait = Duration::from_millis(200);
    loop {
        match channels::put_configured(&pools.durable, &channels).await {
            Ok(retired) => {
                for channel in retired {
                    tracing::warn!(%channel, "no longer configured here: retired, no new alert concerns it");
                }
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot write the configured channels yet; trying again");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(5));
            }
        }
    }
}
