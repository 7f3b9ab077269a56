//! The agent never needs root.

use stalker_tests::executables;
use stalker_tests::unprivileged::Unprivileged;

use super::{Host, names, with_key};

/// An ordinary user's agent makes its certificate, listens, registers, and runs what is in the configuration and in the
/// folder of scripts, as that user.
#[tokio::test]
async fn agent_needs_no_root() {
    let account = Unprivileged::with(&[executables::stalker_agent()]);
    let host = Host::new().await;
    // As a package installs them: configuration and scripts stay root's, the folder of its state is the agent's.
    host.configure(&with_key("[echo]\ncmd = /bin/echo\nargs = of a section\n"));
    host.script("who", "id -u");
    account.give(host.folder.path());

    let mut start = account.command("stalker-agent", host.folder.path());
    start.arg("--config").arg(host.path("agent.conf"));
    let mut agent = host.up(&mut start).await;
    account.runs(agent.process.pid());
    let body = host
        .registered("it registers", |body| names(body) == ["echo", "who"])
        .await
        .body;
    assert_eq!(body["cert_sha256"], agent.ready["cert_sha256"]);
    assert_eq!(agent.run("echo").await["out"], "of a section");
    assert_eq!(agent.run("who").await["out"], account.uid().to_string());
    agent.terminate().await;
}
