//! What an agent at rest holds. Only the release build's counts, so `make memory` runs this, and the suite does not.

use std::time::Duration;

use stalker_tests::until::stays;

use super::{Host, names, with_key};

const CHECKS: usize = 20;
const REST: Duration = Duration::from_secs(60);
/// 10 MB, in the KiB of /proc.
const LIMIT_KIB: u64 = 10_000_000 / 1024;

/// After each of its checks has run once, and a minute of rest.
#[tokio::test]
#[ignore = "measures the release build: make memory"]
async fn agent_at_rest_is_small() {
    let host = Host::new().await;
    let checks: Vec<String> = (10..10 + CHECKS).map(|n| format!("check_{n}")).collect();
    for check in &checks {
        host.script(check, "echo 'OK - nothing to complain of | value=1;2;3'");
    }
    host.configure(&with_key(""));
    let agent = host.start().await;
    host.registered("all are registered", |body| names(body) == checks)
        .await;
    for check in &checks {
        assert_eq!(agent.run(check).await["status"], 0);
    }
    let look = async || agent.memory_kib("VmRSS");
    let held_kib = stays("it rests", REST, look, |_| true).await;
    eprintln!(
        "VmRSS after {CHECKS} checks and {} s: {held_kib} KiB",
        REST.as_secs()
    );
    assert!(held_kib <= LIMIT_KIB, "{held_kib} KiB > {LIMIT_KIB} KiB");
}
