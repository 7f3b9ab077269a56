//! The signal to stop, and the limits that the system sets us.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled at the first SIGINT or SIGTERM. A second one ends the process at once, for whoever
/// cannot wait.
pub(crate) fn shutdown() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = token.clone();
    tokio::spawn(async move {
        for is_first in [true, false] {
            let name = tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
            };
            if !is_first {
                tracing::warn!("{name} again; ending at once");
                end_at_once();
            }
            tracing::info!("{name}: stopping; once more ends at once");
            stop.cancel();
        }
    });
    Ok(token)
}

/// Allows as many open files as the system lets us have: every kept connection to an agent is one.
pub(crate) fn raise_open_files() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::debug!(%error, soft, hard, "cannot raise the limit of open files");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "whoever asks twice wants no cleaning up"
)]
fn end_at_once() -> ! {
    std::process::exit(130)
}
