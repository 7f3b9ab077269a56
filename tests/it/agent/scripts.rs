//! What scripts may do, and what the caller learns of it.

use std::fs;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use stalker_tests::process::is_alive;
use stalker_tests::until::until;

use super::{CHECK_KEY, Host, answer, with_key};

/// The table of wire.md, section 1.
#[tokio::test]
async fn agent_answers_as_the_wire_says() {
    let host = Host::new().await;
    host.script("check_a", "echo 'WARNING - x|a=1'; echo why >&2; exit 1");
    host.file("no_program", "just text\n");
    host.configure(&with_key(
        "[my.check]\ncmd = /bin/echo\nargs = -r '\\d+' -C '#5' -p 20% -w 1;2\n",
    ));
    let agent = host.start().await;
    host.registered("the scripts are registered", |body| {
        super::names(body).len() == 3
    })
    .await;

    let expected = json!({"check_a": {"status": 1, "out": "WARNING - x|a=1", "err": "why"}});
    for path in ["/check_a", "/check_a/", "/check_a?x=1"] {
        let answer = agent.get(path).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.length,
            Some(answer.body.len() as u64),
            "{path}: Content-Length"
        );
        assert!(answer.body.ends_with("\r\n"), "{path}: {:?}", answer.body);
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&answer.body).expect("JSON"),
            expected,
            "{path}"
        );
    }
    assert_eq!(
        agent.run("my.check").await["out"],
        r"-r \d+ -C #5 -p 20% -w 1;2"
    );
    for (path, status, text) in [
        ("/nobody", 404, "No such check"),
        ("/", 404, ""),
        ("/check_a/x", 404, ""),
        ("/no_program", 500, "Error running check: "),
    ] {
        let answer = agent.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.body.starts_with(text), "{path}: {}", answer.body);
    }
    for (method, path, key, status) in [
        (Method::GET, "/check_a", "wrong", 401),
        (Method::GET, "/nobody", "", 401),
        (Method::POST, "/check_a", CHECK_KEY, 405),
    ] {
        let response = agent
            .send(method, path, key)
            .await
            .expect("the agent answers");
        assert_eq!(response.status().as_u16(), status, "{path}");
    }
    let wrong = agent
        .send(Method::GET, "/check_a", "wrong")
        .await
        .expect("the agent answers");
    assert_eq!(answer(wrong).await.body, "Unauthorized");
}

/// Whatever a script prints, its exit code counts, and the agent stays small.
#[tokio::test]
async fn agent_bears_any_output() {
    let host = Host::new().await;
    host.script(
        "small",
        "echo 'OK|a=1'; yes | head -c 1000000; yes | head -c 1000000 >&2",
    );
    host.script("huge", "echo 'OK|a=1'; yes | head -c 100000000; exit 1");
    host.script("odd", r"printf 'a\000b\377\376c'; exit 2");
    host.configure(&with_key("default_timeout = 60\n"));
    let agent = host.start().await;
    host.registered("the scripts are registered", |body| {
        super::names(body).len() == 3
    })
    .await;

    // Twice, so that everything that is needed once is there.
    for _ in 0..2 {
        let small = agent.run("small").await;
        assert_eq!(
            (&small["status"], &small["truncated"]),
            (&json!(0), &json!(true))
        );
        assert_eq!(
            small["err"].as_str().map(str::len),
            Some(8 * 1024 - 1),
            "cut, then trimmed"
        );
    }
    let before = agent.memory_kib("VmHWM");
    let huge = agent.run("huge").await;
    assert_eq!(
        (&huge["status"], &huge["truncated"]),
        (&json!(1), &json!(true))
    );
    let out = huge["out"].as_str().expect("a text");
    assert!(
        out.starts_with("OK|a=1\ny\n") && out.len() <= 64 * 1024 && out.len() > 65_000,
        "{}",
        out.len()
    );
    let grown = agent.memory_kib("VmHWM") - before;
    assert!(grown < 1024, "grew by {grown} KiB");

    let odd = agent.run("odd").await;
    assert_eq!(
        odd,
        json!({"status": 2, "out": "a\u{fffd}b\u{fffd}\u{fffd}c", "err": ""})
    );
}

/// A script that does not end is ended; one that leaves a daemon behind holds nothing.
#[tokio::test]
async fn agent_ends_what_does_not_end() {
    let host = Host::new().await;
    host.script(
        "forever",
        "echo said; trap '' TERM; sleep 600 & echo $!; while :; do wait; done",
    );
    host.script("daemon", "setsid sleep 5 & echo OK");
    host.configure(&with_key("default_timeout = 1\n"));
    let agent = host.start().await;
    host.registered("the scripts are registered", |body| {
        super::names(body).len() == 2
    })
    .await;

    let began = Instant::now();
    let forever = agent.run("forever").await;
    assert!(
        began.elapsed() < Duration::from_secs(6),
        "{:?}",
        began.elapsed()
    );
    let lines: Vec<_> = forever["out"].as_str().expect("a text").lines().collect();
    assert_eq!(
        (&forever["status"], &lines[..2]),
        (&json!(3), &["TIMED OUT after 1 s", "said"][..])
    );
    let sleeper = lines[2].parse().expect("a process id");
    let gone = async || (!is_alive(sleeper)).then_some(());
    until("the script's child is gone", Duration::from_secs(5), gone).await;

    let began = Instant::now();
    assert_eq!(agent.run("daemon").await["out"], "OK");
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
}

/// A caller that goes away changes nothing for the script: it is still ended in time.
#[tokio::test]
async fn agent_ends_scripts_of_callers_that_went_away() {
    let host = Host::new().await;
    let note = host.path("pid");
    host.script(
        "slow",
        &format!(
            "echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600",
            note.display()
        ),
    );
    host.configure(&with_key("default_timeout = 2\n"));
    let agent = host.start().await;
    host.registered("the script is registered", |body| {
        super::names(body) == ["slow"]
    })
    .await;

    let started = async || fs::read_to_string(&note).ok()?.trim().parse::<u32>().ok();
    let pid = tokio::select! {
        pid = until("the script runs", Duration::from_secs(5), started) => pid,
        _ = agent.get("/slow") => panic!("it ends only by its timeout"),
    };
    assert!(is_alive(pid));
    let gone = async || (!is_alive(pid)).then_some(());
    until("the script is ended", Duration::from_secs(6), gone).await;
}
