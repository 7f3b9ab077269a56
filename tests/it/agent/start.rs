//! What the agent refuses to start with, and what it only warns of.

use std::fs;
use std::net::TcpListener;

use stalker_tests::until::until;

use super::{CHANGE, Host, names, with_key};

/// Each refusal names what is wrong and where.
#[tokio::test]
async fn agent_refuses_to_start() {
    let host = Host::new().await;
    let says = async |words: &[&str]| {
        let refusal = host.refusal().await;
        for word in words {
            assert!(refusal.contains(word), "{word} is not in: {refusal}");
        }
    };
    let conf = host.path("agent.conf").display().to_string();
    says(&[&conf, "No such file"]).await;
    fs::write(&conf, "[main]\nlisten_port = 0\n").expect("written");
    says(&[&conf, "[main] register_key", "missing"]).await;
    host.configure("default_interval = 604801\n");
    says(&[&conf, "[main] default_interval", "604801", "1 to 604800"]).await;
    host.configure("ssl_cert = /nowhere/a.crt\nssl_key = /nowhere/a.key\n");
    says(&["/nowhere/a.crt"]).await;
    fs::write(host.path("a.pem"), "not PEM").expect("written");
    let pem = host.path("a.pem").display().to_string();
    host.configure(&format!("ssl_cert = {pem}\nssl_key = {pem}\n"));
    says(&[&pem, "no certificate"]).await;
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken
        .local_addr()
        .map(|address| (address.port(), taken))
        .expect("an address");
    host.configure(&format!("listen_port = {}\n", taken.0));
    says(&["cannot listen on 127.0.0.1", &taken.0.to_string(), "in use"]).await;
}

/// A bad check costs only itself, and the log says file, section and key; a bad change of `[main]` costs nothing.
#[tokio::test]
async fn agent_skips_bad_checks() {
    let host = Host::new().await;
    host.configure(&with_key(
        "[good]\ncmd = /bin/echo\nargs = a | b\n[gone]\ncmd = /nowhere/x\n[often]\ncmd = /bin/echo\ninterval = 0\n[two words]\ncmd = /bin/echo\n",
    ));
    let agent = host.start().await;
    host.registered("the good one", |body| names(body) == ["good"])
        .await;
    let says = async |text: &str| {
        until(text, CHANGE, async || {
            agent.process.output().contains(text).then_some(())
        })
        .await;
    };
    for text in [
        "[gone] cmd: /nowhere/x is not a file",
        "[often] interval: 0 is not",
        "[two words]",
        "[good] args: `|`",
    ] {
        says(text).await;
    }
    assert_eq!(agent.run("good").await["out"], "a | b");

    host.configure(&with_key("master_url = nonsense\n"));
    agent.hangup();
    says("[main] master_url: \"nonsense\" is no URL").await;
    assert_eq!(agent.run("good").await["out"], "a | b");
}
