//! Where each host is, and which certificate it must show. An agent is called as `<host id>.agent.invalid`, so
//! that SNI, connection pool and pin belong to the host and not to an address; this is the resolver of that name.

use std::cell::Cell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use stalker_db::claims::ClaimedCheck;

/// The hosts that this worker has called, as of their last claim.
#[derive(Debug, Default)]
pub(super) struct Directory {
    hosts: Mutex<HashMap<i64, Entry>>,
}

#[derive(Debug, Clone, Default)]
struct Entry {
    ip: String,
    pin: Option<String>,
    /// What the host showed at the last handshake that its pin refused.
    refused: Option<String>,
}

impl Directory {
    /// Notes where a claimed check's host is now.
    pub(super) fn note(&self, check: &ClaimedCheck) {
        self.with(check.host_id, |entry| {
            if entry.ip != check.ip {
                entry.ip.clone_from(&check.ip);
            }
            if entry.pin != check.cert_sha256 {
                entry.pin.clone_from(&check.cert_sha256);
            }
        });
    }

    /// The fingerprint that this host must show; none: whatever it shows first.
    pub(super) fn pin(&self, host_id: i64) -> Option<String> {
        self.with(host_id, |entry| entry.pin.clone())
    }

    /// Notes what was shown instead.
    pub(super) fn refuse(&self, host_id: i64, shown: String) {
        self.with(host_id, |entry| entry.refused = Some(shown));
    }

    /// What was shown instead, the last time.
    pub(super) fn refused(&self, host_id: i64) -> Option<String> {
        self.with(host_id, |entry| entry.refused.clone())
    }

    fn with<T>(&self, host_id: i64, see: impl FnOnce(&mut Entry) -> T) -> T {
        see(self
            .hosts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(host_id)
            .or_default())
    }
}

/// The name under which a host is called.
pub(super) fn name_of(host_id: i64) -> String {
    format!("{host_id}.agent.invalid")
}

/// The host that is called by this name.
pub(super) fn host_of(name: &str) -> Option<i64> {
    name.strip_suffix(".agent.invalid")?.parse().ok()
}

tokio::task_local! {
    /// The request under way in this task has begun a connection of its own.
    static CONNECTS: Cell<bool>;
}

/// Waits for a request. True if it began a connection, for which the resolver is asked once: false, and it was sent on
/// one that was kept.
pub(super) async fn noting_connects<T>(request: impl Future<Output = T>) -> (T, bool) {
    let noted = async { (request.await, CONNECTS.with(Cell::get)) };
    CONNECTS.scope(Cell::new(false), noted).await
}

/// The directory as reqwest's resolver.
pub(super) struct Resolver(pub(super) std::sync::Arc<Directory>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        // outside of a request nobody asks
        let _ = CONNECTS.try_with(|connects| connects.set(true));
        let ip =
            host_of(name.as_str()).map(|host_id| self.0.with(host_id, |entry| entry.ip.clone()));
        Box::pin(async move {
            let ip: IpAddr = ip.ok_or("not the name of an agent")?.parse()?;
            // The port comes from the URL.
            Ok(Box::new(std::iter::once(SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}
