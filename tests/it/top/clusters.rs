//! Other clusters: seen and acted on through ours, each for itself. Ours and west are real; museum is one of the original's.

use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};
use stalker_tests::server::API_KEY;
use stalker_tests::terminal::Terminal;
use stalker_tests::until::until_seen;
use tokio::net::TcpListener;

use super::{PATIENCE, Site, is_listed, select};
use crate::clusters::Cluster;

/// A cluster of the original's, with one failing check; gives its URL.
async fn museum() -> String {
    // no state, its own id, and a host that would clear our screen
    let check = json!({"_id": "51f", "hostname": "old1", "check": "check_old", "status": false, "fail_count": 4, "out": "DISK\u{1b}[2J FULL"});
    let list = get(async move || axum::Json(json!({"alerting": [check]})));
    let app = Router::new().route("/checks/state/alerting", list);
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("loopback can be listened on");
    let address = listener.local_addr().expect("it has an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

#[tokio::test]
async fn every_cluster_is_shown_for_itself_and_acted_on_through_ours() {
    let mut west = Cluster::seen("west").await;
    sqlx::raw_sql(
        "update hosts set hostname = 'shop1';
         update checks set name = 'check_cart';
         update check_state set owner = '', out = 'CRITICAL - carts are lost', fails = 7;
         insert into checks (check_id, host_id, name, cmd, args, declared_interval_s, declared_follow_up_s)
             overriding system value select 18, host_id, 'check_till', '', '', 15, 15 from hosts;
         insert into check_state (check_id, interval_s, phase_ms, due_at, status, hard, fails, since, last_at, out)
             values (18, 60, 0, '2100-01-01', 2, true, 3, now(), now(), 'CRITICAL - tills are empty');",
    )
    .execute(west.database.pool())
    .await
    .expect("the fixture can be changed");
    let museum = museum().await;
    let site = Site::in_trouble_beside(|ours| {
        west.known_to(ours, API_KEY)
            .set("api.remote_timeout", 1)
            .set("api.cache_ttl", 1)
            .set("clusters.museum.host", museum)
            .set("clusters.museum.key", "key")
            // nobody listens there
            .set("clusters.south.host", "http://127.0.0.1:1")
            .set("clusters.south.key", "key")
    })
    .await;

    let mut terminal = Terminal::start(&site.command(&site.api.url), 30, 80);
    let is_whole = |screen: &str| {
        is_listed(screen)
            && ["shop1", "old1", "cluster south"]
                .iter()
                .all(|word| screen.contains(word))
    };
    let screen = terminal.wait_for("all clusters", is_whole).await;
    assert!(
        screen.contains("✗ cluster south cannot be reached, no data yet"),
        "{screen}"
    );
    assert!(screen.contains("FAIL museum"), "{screen}");
    // nor does a host clear our screen; the terminal leaves out what stands for its control character
    assert!(screen.contains("DISK[2J"), "{screen}");

    select(&mut terminal, "check_cart").await;
    let cart = async || west.api.read("/checks/id/17").await["check"].take();
    let next = cart().await["next"].as_i64();
    for (key, what) in [
        ("o", "it is owned"),
        ("d", "it is owned by nobody"),
        ("c", "it is to run now"),
        ("p", "it is suspended"),
    ] {
        terminal.type_text(key);
        until_seen(what, PATIENCE, cart, |cart| match key {
            "o" => cart["owner"] == "ann",
            "d" => cart["owner"] == "",
            "c" => cart["next"].as_i64() < next,
            _ => cart["suspended"] == true,
        })
        .await;
    }
    let audit = west.api.read("/audit?newest=true&limit=4").await;
    let actions = audit["audit"].as_array().expect("a list").iter();
    let actions: Vec<&Value> = actions.map(|row| &row["action"]).collect();
    assert_eq!(
        actions,
        [
            "set_suspension",
            "set_next_run",
            "delete_owner",
            "set_owner"
        ],
        "each key does one thing"
    );

    // all of the host there, asked for by way of ours
    terminal.type_text("P");
    let is_said = |screen: &str| screen.contains("✔ west:shop1: 2 checks suspended");
    terminal.wait_for("that both are suspended", is_said).await;
    assert_eq!(
        west.api.read("/checks/id/18").await["check"]["suspended"],
        true
    );

    // what the other cluster keeps for itself
    for key in ["n", "m"] {
        terminal.type_text(key);
        let is_said = |screen: &str| screen.contains("are local: those of west");
        terminal.wait_for("that it is kept there", is_said).await;
        terminal.type_text("\u{1b}");
        terminal
            .wait_for("it is read", |screen| !is_said(screen))
            .await;
    }
    terminal.type_text("\r");
    let is_there =
        |screen: &str| screen.contains("shop1/check_cart on west") && screen.contains("look there");
    terminal.wait_for("its details", is_there).await;
    terminal.type_text("q");

    // a cluster goes: what it said stays, with its age and why, and so do the others
    west.kill();
    let is_told = |screen: &str| {
        screen.contains("cluster west cannot be reached, data from ") && screen.contains("efused")
    };
    let screen = terminal.wait_for("how old it is, and why", is_told).await;
    assert!(
        is_listed(&screen) && screen.contains("shop1") && screen.contains("old1"),
        "{screen}"
    );
    west.restart().await;
    let is_back = |screen: &str| !screen.contains("cluster west") && screen.contains("shop1");
    terminal.wait_for("it is back", is_back).await;

    // with a question first
    select(&mut terminal, "check_till").await;
    terminal.type_text("xy");
    let is_gone = |screen: &str| screen.contains("✔ west:shop1/check_till: removed");
    terminal
        .wait_for("that the check is removed", is_gone)
        .await;
    assert_eq!(west.api.get("/checks/id/18").await.0, 404);
    select(&mut terminal, "check_cart").await;
    terminal.type_text("Xy");
    let is_gone = |screen: &str| screen.contains("✔ west:shop1: removed");
    terminal.wait_for("that the host is removed", is_gone).await;
    assert_eq!(west.api.get("/hosts/shop1").await.0, 404);
}
