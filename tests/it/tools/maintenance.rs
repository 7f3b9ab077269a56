//! `stalkerd maintenance`, and what lists show of one.

use serde_json::Value;
use stalker_tests::api::Api;
use stalker_tests::fixture::{Past, add_checks};
use stalker_tests::server::Installation;

use super::*;

/// The checks that a list holds, as `host check`, and that each says of itself to be in maintenance.
async fn in_maintenance(api: &Api) -> Vec<String> {
    let shown = |check: &Value| {
        let text = |field: &str| check[field].as_str().unwrap_or_default().to_owned();
        format!("{} {}", text("hostname"), text("check"))
    };
    let listed = api.read("/checks/state/in_maintenance").await;
    let listed = listed["in_maintenance"].as_array().expect("a list");
    assert!(listed.iter().all(|check| check["in_maintenance"] == true));
    let all = api.read("/checks/").await;
    let all = all["checks"].as_array().expect("a list");
    let marked = all.iter().filter(|check| check["in_maintenance"] == true);
    let listed: Vec<String> = listed.iter().map(shown).collect();
    assert_eq!(listed, marked.map(shown).collect::<Vec<_>>());
    for check in all {
        let id = check["id"].as_str().expect("an id");
        let one = api.read(&format!("/checks/id/{id}")).await;
        assert_eq!(one["check"]["in_maintenance"], check["in_maintenance"]);
    }
    listed
}

#[tokio::test]
async fn lists_show_it_while_it_lasts() {
    let database = TestDatabase::new().await;
    let api = Installation::new(&database).start("api").await;
    let pool = database.pool();
    for host in ["db1", "db2", "web1"] {
        add_checks(pool, host, 2, 300, Past::Healthy).await;
    }
    execute(
        pool,
        "update hosts set roles = '{eu,big}' where hostname = 'db2'",
    )
    .await;
    assert!(in_maintenance(&api.api()).await.is_empty());

    let by_name = ["--host", "db*", "--check", "check_?"];
    let said = add(&database, &by_name, &["--for", "1h"]).await;
    assert!(said.contains("of today's checks it matches 4"), "{said}");
    let both = ["db1 check_1", "db1 check_2", "db2 check_1", "db2 check_2"];
    assert_eq!(in_maintenance(&api.api()).await, both);
    stalkerd(&database, &["maintenance", "end", "1"]).await;
    assert!(in_maintenance(&api.api()).await.is_empty());

    // every option must match; any value of one does
    let by_role = ["--role", "b*", "--role", "x", "--check", "check_2"];
    add(&database, &by_role, &["--for", "30m"]).await;
    assert_eq!(in_maintenance(&api.api()).await, ["db2 check_2"]);
    stalkerd(&database, &["maintenance", "end", "2"]).await;

    // a pattern is nothing else than a pattern
    for host in ["d_1", "%", "DB1", "b"] {
        let matched = add(&database, &["--host", host], &["--for", "1d"]).await;
        assert!(
            matched.contains("warning: it matches no check of today"),
            "{host}: {matched}"
        );
    }
    add(
        &database,
        &["--host", "*"],
        &["--start", "2999-01-01T00:00:00Z", "--for", "90s"],
    )
    .await;
    assert!(in_maintenance(&api.api()).await.is_empty(), "it is to come");
}

async fn add(database: &TestDatabase, matching: &[&str], when: &[&str]) -> String {
    let what = ["maintenance", "add", "--reason", "new disks"];
    stalkerd(database, &[&what, matching, when].concat()).await
}

#[tokio::test]
async fn it_is_declared_listed_and_ended() {
    let database = TestDatabase::new().await;
    let author = ["--author", "ann\u{1b}[2J"];
    let later = [
        "--start",
        "2999-01-01T02:00:00+02:00",
        "--end",
        "2999-01-01T02:00:00Z",
    ];
    add(
        &database,
        &["--host", "db*", "--host", "web1"],
        &[&author[..], &later].concat(),
    )
    .await;
    add(&database, &["--role", "eu"], &["--for", "2h"]).await;
    let said = stalkerd(&database, &["maintenance", "list"]).await;
    let listed = table(&said);
    let [now, coming] = listed.as_slice() else {
        panic!("{said}")
    };
    assert_eq!(
        coming[..],
        [
            "1",
            "coming",
            "2999-01-01T00:00:00Z",
            "2999-01-01T02:00:00Z",
            "db*,web1",
            "*",
            "*",
            "ann\\u{1b}[2J",
            "new disks"
        ]
    );
    assert_eq!((now[0], now[1], now[5]), ("2", "now", "eu"));
    let user = nix::unistd::User::from_uid(nix::unistd::getuid());
    let user = user.ok().flatten().expect("this process has a user");
    assert_eq!(now[7], user.name);

    let end = |id| ["maintenance", "end", id];
    let said = stalkerd(&database, &end("1")).await;
    assert!(said.contains("had not begun, and is deleted"), "{said}");
    stalkerd(&database, &end("2")).await;
    let said = stalkerd(&database, &["maintenance", "list"]).await;
    assert!(table(&said).is_empty(), "{said}");
    let said = stalkerd(&database, &["maintenance", "list", "--all"]).await;
    assert_eq!(table(&said)[0][..2], ["2", "over"]);
    for (id, why) in [
        ("1", "there is no maintenance 1"),
        ("2", "was over already"),
    ] {
        let said = refused(&database, &end(id)).await;
        assert!(said.contains(why) && said.lines().count() == 1, "{said}");
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let database = TestDatabase::new().await;
    let refuses = async |arguments: &[&str], why: &str| {
        let all = [&["maintenance", "add"], arguments].concat();
        let said = refused(&database, &all).await;
        assert!(said.contains(why), "{arguments:?}: {said}");
        said.lines().count()
    };
    let host = ["--host", "db1", "--reason", "new disks"];
    let with = |more: &[&'static str]| [&host[..], more].concat();
    let one_line: [(Vec<&str>, &str); 7] = [
        (
            vec!["--reason", "x", "--for", "1h"],
            "must name hosts, roles or checks",
        ),
        (with(&["--for", "0s"]), "must end after its start"),
        (with(&["--for", "99999999d"]), "cannot last so long"),
        (
            with(&[
                "--start",
                "2999-01-01T00:00:00Z",
                "--end",
                "2998-01-01T00:00:00Z",
            ]),
            "must end after its start",
        ),
        (
            with(&[
                "--start",
                "1999-01-01T00:00:00Z",
                "--end",
                "1999-01-02T00:00:00Z",
            ]),
            "would be over already",
        ),
        (
            vec!["--host", "", "--reason", "x", "--for", "1h"],
            "--host is empty",
        ),
        (
            vec!["--host", "x", "--reason", " ", "--for", "1h"],
            "--reason is empty",
        ),
    ];
    for (arguments, why) in one_line {
        assert_eq!(refuses(&arguments, why).await, 1, "{arguments:?}");
    }
    refuses(&with(&[]), "--end").await;
    refuses(
        &with(&["--for", "1h", "--end", "2999-01-01T00:00:00Z"]),
        "cannot be used with",
    )
    .await;
    refuses(&with(&["--for", "1 hour"]), "90s, 30m, 2h or 1d").await;
    refuses(&with(&["--end", "tomorrow"]), "a time is written").await;
    refuses(&["--host", "db1", "--for", "1h"], "--reason").await;
    let said = stalkerd(&database, &["maintenance", "list", "--all"]).await;
    assert!(table(&said).is_empty(), "{said}");
}
