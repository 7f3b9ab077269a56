//! Ending a script with everything that it has started.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::time::{sleep, timeout};

/// From SIGTERM to SIGKILL.
pub(crate) const TERM_GRACE: Duration = Duration::from_secs(2);
/// How long a killed script may take to be gone; one that the kernel holds in a system call may never be.
const KILL_GRACE: Duration = Duration::from_secs(1);
/// How often a group is looked at: nobody tells when its last member has gone.
const POLL: Duration = Duration::from_millis(50);

/// Ends the script and everything that stayed in its group. A group outlives its leader, so the leader's end is not
/// enough.
pub(crate) async fn kill_group(child: &mut Child, grace: Duration) {
    let Some(group) = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .map(Pid::from_raw)
    else {
        return;
    };
    if !grace.is_zero() {
        signal(group, Signal::SIGTERM);
        let gone = async {
            // Only a reaped leader lets its group go.
            let _ = child.wait().await;
            while killpg(group, None) != Err(Errno::ESRCH) {
                sleep(POLL).await;
            }
        };
        if timeout(grace, gone).await.is_ok() {
            return;
        }
    }
    signal(group, Signal::SIGKILL);
    // A leader that has left its group is still ours; a failure means that it is gone.
    let _ = child.start_kill();
    if timeout(KILL_GRACE, child.wait()).await.is_err() {
        tracing::warn!(
            pid = group.as_raw(),
            "a killed script does not end: the kernel holds it"
        );
    }
}

fn signal(group: Pid, signal: Signal) {
    match killpg(group, signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => tracing::warn!(
            pid = group.as_raw(),
            "cannot send {signal} to a script's group: {error}"
        ),
    }
}
