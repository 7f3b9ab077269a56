//! `stalkerd up`: a whole Stalker on this machine, with nothing to set up.
//!
//! Started in this order, and stopped in the reverse: private PostgreSQL, components, one agent. Everything lies in
//! one folder, the home; a second start goes on with the same data and keys.

mod agent;
mod home;
mod welcome;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use stalker_api::{passwords, secret};
use stalker_db::audit::{self, Deed};
use stalker_db::{Pools, users};
use stalker_postgres::PrivatePostgres;
use tokio_util::sync::CancellationToken;

use crate::components::{self, Which};
use crate::settings::Settings;
use crate::tools::actor;
use crate::{log, signals};
use home::Home;

/// The first user.
const ADMIN: &str = "admin";

#[derive(Args)]
pub(crate) struct UpArgs {
    /// The folder of data, keys, logs and scripts
    #[arg(
        long,
        env = "STALKER_HOME",
        default_value = ".stalker",
        value_name = "DIR"
    )]
    home: PathBuf,
    /// The folder that holds `postgres` and `initdb` [default: PATH, then /usr/lib/postgresql/*/bin]
    #[arg(long, value_name = "DIR")]
    pg_bin: Option<PathBuf>,
    /// The port of the agent; 0 takes a free one
    #[arg(long, default_value_t = 5050, value_name = "PORT")]
    agent_port: u16,
}

/// Runs until SIGINT or SIGTERM.
pub(crate) fn run(args: UpArgs, config: &[PathBuf]) -> anyhow::Result<()> {
    let home = Home::prepare(&args.home)?;
    let mut files = vec![home.settings_file()];
    files.extend_from_slice(config);
    let settings = Settings::read(&files)?;
    log::start(&settings.log)?;
    signals::raise_open_files();
    let runtime = components::runtime()?;
    let ended = runtime.block_on(async {
        let shutdown = signals::shutdown()?;
        let postgres = match &settings.database.url {
            Some(_) => None,
            None => Some(start_postgres(&home, args.pg_bin.clone()).await?),
        };
        let url = match (&settings.database.url, &postgres) {
            (Some(url), _) => url.clone(),
            (None, postgres) => postgres
                .as_ref()
                .map(|postgres| postgres.url().to_owned())
                .unwrap_or_default(),
        };
        let served = serve(&settings, &home, &url, args.agent_port, &shutdown);
        let ended = components::in_time(&shutdown, served).await;
        home.withdraw_ready_file();
        if let Some(postgres) = postgres {
            tokio::task::spawn_blocking(|| postgres.stop())
                .await
                .context("stopping the private PostgreSQL")?;
        }
        ended
    });
    // without waiting for what hangs
    runtime.shutdown_background();
    ended
}

/// Where somebody on this machine reaches what listens on `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn start_postgres(home: &Home, pg_bin: Option<PathBuf>) -> anyhow::Result<PrivatePostgres> {
    let options = stalker_postgres::Options {
        dir: home.postgres_dir(),
        pg_bin,
        durable: true,
        remove_at_end: false,
        supervisor: stalker_postgres::supervisor_beside_me()?,
        notice: Arc::new(|notice| tracing::info!("private PostgreSQL: {notice}")),
    };
    tokio::task::spawn_blocking(|| PrivatePostgres::start(options))
        .await?
        .context("the private PostgreSQL did not start (does `stalkerd up` run in this home already? DATABASE_URL would use a database of yours)")
}

/// The first user, if there is none; their password is told once, so this comes when nothing can keep it from being told.
async fn make_admin(pools: &Pools) -> anyhow::Result<Option<String>> {
    if !users::is_empty(&pools.durable).await? {
        return Ok(None);
    }
    let password = secret::password();
    let hash = passwords::hash(&password).await;
    let mut tx = pools.durable.begin().await?;
    if !users::add(&mut tx, ADMIN, "", "default", "admin", &hash).await? {
        return Ok(None);
    }
    let deed = Deed {
        action: "up",
        subject: format!("user {ADMIN}"),
        before: None,
        after: Some(json!({ "username": ADMIN, "role": "admin" })),
    };
    audit::write(&mut tx, &actor(), deed).await?;
    tx.commit().await?;
    Ok(Some(password))
}

/// Everything above the database, until `shutdown`.
async fn serve(
    settings: &Settings,
    home: &Home,
    url: &str,
    agent_port: u16,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let pools = Pools::new(url, settings.database.max_connections).context("database.url")?;
    stalker_db::migrate(&pools.durable)
        .await
        .context("cannot migrate the database")?;
    // The components go on while the agent ends, so that nothing of its last answers is lost.
    let components_shutdown = CancellationToken::new();
    let components = components::start(settings, Which::ALL, &pools, &components_shutdown)?;
    let (running, api) = components.listening().await?;
    let api = reachable(api.context("the api told no address")?);
    let agent = agent::start(home, settings, api, agent_port, shutdown).await;

    let ended = match agent {
        Ok(agent) => {
            home.write_client_configuration(api, settings)?;
            let ready = json!({ "api": format!("http://{api}"), "agent": agent.url(), "database": url, "pid": std::process::id() });
            let password = make_admin(&pools)
                .await
                .context("cannot make the first user")?;
            welcome::print(home, api, password.as_deref());
            components::write_ready(&home.ready_file(), &ready)?;
            let stop = components_shutdown.clone();
            let stop_agent = async {
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = components_shutdown.cancelled() => {}
                }
                agent.stop().await;
                stop.cancel();
                anyhow::Ok(())
            };
            tokio::try_join!(stop_agent, running.wait(&components_shutdown)).map(drop)
        }
        Err(error) => {
            components_shutdown.cancel();
            running.wait(&components_shutdown).await?;
            Err(error)
        }
    };
    pools.close().await;
    ended
}
