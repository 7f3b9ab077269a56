//! What happens because something is due: checks are run and recorded, owed notifications are sent.
//!
//! Both are one mechanism, [`lane`]: claim from a table, run, settle. `due_checks` and `owed_notifications` say
//! from which table; `probe` how an outcome is obtained, `notify` how a message is sent; `recorder` gathers
//! outcomes into batches, `samples` what was measured. Any number of workers run at once and none knows of another.

mod channel_tests;
pub mod config;
mod due_checks;
mod lane;
mod notify;
mod owed_notifications;
pub mod probe;
pub mod recorder;
mod replica;
pub mod samples;

use std::sync::Arc;
use std::time::Duration;

use notify::Outlet;
use probe::{Probe, Probes};
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
    let probes = Probes::new(&config, pools.durable.clone())?;
    run_with(probes, config, pools, shutdown).await
}

/// As [`run`], with outcomes from `probe`.
///
/// # Errors
/// As [`run`].
pub async fn run_with<P: Probe>(
    probe: P,
    config: Config,
    pools: Pools,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let config = Arc::new(config);
    let told = Arc::new(Notify::new());
    tokio::select! {
        () = put_channels(&config, &pools) => {}
        () = shutdown.cancelled() => return Ok(()),
    }
    let names: Vec<&String> = config.channels.keys().collect();
    let outlets = outlets(&config)?;
    let client = notify::client(config.channels.values())?;
    tracing::info!(slots = config.slots, channels = ?names, "worker runs");
    let behind = replica::Behind::default();
    let beating = replica::run(pools.clone(), behind.clone(), shutdown.clone());
    tokio::try_join!(
        async {
            beating.await;
            Ok(())
        },
        due_checks::run(
            config.clone(),
            pools.clone(),
            (probe, behind),
            told.clone(),
            shutdown.clone()
        ),
        async {
            channel_tests::run(&outlets, &client, &pools.durable, shutdown.clone()).await;
            Ok(())
        },
        owed_notifications::run(
            outlets.clone(),
            client.clone(),
            pools.clone(),
            told,
            shutdown.clone()
        ),
    )?;
    Ok(())
}

fn outlets(config: &Config) -> anyhow::Result<Vec<Arc<Outlet>>> {
    let outlet = |(name, channel): (&String, &config::Channel)| {
        let outlet = Outlet::new(name, channel, config.public_url.as_deref())?;
        Ok(Arc::new(outlet))
    };
    config.channels.iter().map(outlet).collect()
}

async fn put_channels(config: &Config, pools: &Pools) {
    let (channels, routes) = config.rows();
    let mut wait = Duration::from_millis(200);
    loop {
        let put = async {
            let put = channels::put_configured(&pools.durable, &channels, &routes).await?;
            Ok::<_, sqlx::Error>((put, channels::secrets_in_use(&pools.durable).await?))
        };
        match put.await {
            Ok((put, used)) => {
                tell(config, &put, &used);
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

/// What somebody who has changed the configuration should know.
fn tell(config: &Config, put: &channels::Put, used: &[(String, String)]) {
    for channel in &put.retired {
        tracing::warn!(%channel, "no longer configured here: retired, no new alert concerns it");
    }
    if put.retried > 0 {
        tracing::info!(
            notifications = put.retried,
            "refused before their channel was changed; trying again"
        );
    }
    for (name, secret_id) in used {
        let Some(channel) = config.channels.get(name) else {
            continue;
        };
        if !channel.secret_ids().known.contains(secret_id) {
            tracing::warn!(
                channel = name,
                secret_id,
                "alerts that are not over were told with a key that is not configured any more: their resolves may not \
                 find them; list that key under previous_keys until they are over"
            );
        }
    }
}
