//! Stalker's agent: runs a host's check scripts when a server asks, and registers them.
//!
//! It is another machine with another trust: it never sees the database, never acts by itself but to register, runs
//! only what its own configuration names, and shows nothing to callers without the key. It keeps no state but its
//! certificate and its key.
//!
//! The way through: [`config`] (with `ini`) and [`checks`] (with `dropins`) make the offer, `watch` keeps it up to
//! date, `register` tells the server, `serve` → `answer` → `script` run one check.

mod answer;
mod capture;
mod certificate;
pub mod check;
pub mod checks;
pub mod config;
mod dropins;
mod env_dict;
mod group;
mod head_timer;
mod ini;
pub mod log;
mod offer;
mod register;
mod script;
pub mod section;
mod serve;
pub mod settings;
mod spawn;
mod state;
mod watch;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::answer::Runner;
use crate::certificate::Certificate;
use crate::config::Config;
use crate::offer::Identity;
use crate::state::{Ready, StateDir};
use crate::watch::Follower;

/// Listens, registers and runs checks until `shutdown`; returns when everything has ended. SIGHUP makes it look at
/// its configuration and scripts at once.
///
/// # Errors
/// When it cannot start: no state folder, no usable certificate, or the address is taken.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    // Fails if the process has one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = Arc::clone(&config.settings);
    let state = Arc::new(StateDir::open(&settings.state_dir)?);
    state.withdraw();
    let certificate = Certificate::load(&settings, &state)?;
    let own_check_key = state.check_key()?;
    let hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;

    let wanted = (settings.listen_addr.as_str(), settings.listen_port);
    let refused = || format!("cannot listen on {}:{}", wanted.0, wanted.1);
    let listener = TcpListener::bind(wanted).await.with_context(refused)?;
    let address = listener.local_addr().with_context(refused)?;
    let identity = Identity {
        // The wildcard says nothing; the server sees a better one.
        ip: (!address.ip().is_unspecified()).then(|| address.ip().to_string()),
        port: address.port(),
        cert_sha256: certificate.sha256.clone(),
    };

    let mut follower = Follower::new(config, own_check_key);
    let (sender, offers) = tokio::sync::watch::channel(Arc::new(follower.look()));
    let ready = Ready {
        agent: url(address),
        pid: std::process::id(),
        cert_sha256: certificate.sha256,
    };
    tracing::info!(
        checks = offers.borrow().checks.len(),
        "listening on {address}"
    );
    state.announce(&ready)?;

    let runner = Arc::new(Runner::new(offers.clone(), settings.max_parallel));
    tokio::join!(
        serve::serve(
            listener,
            TlsAcceptor::from(certificate.tls),
            runner,
            shutdown.clone()
        ),
        register::keep_registered(identity, Arc::clone(&state), offers, shutdown.clone()),
        follower.follow(hangup, sender, shutdown),
    );
    state.withdraw();
    tracing::info!("stopped");
    Ok(())
}

/// Where a program on this machine calls the agent.
fn url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("https://{}", SocketAddr::new(ip, address.port()))
}
