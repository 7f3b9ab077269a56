//! `--cluster`: what is seen of, and done to, the checks of another cluster, by way of ours. All of them are real.

use stalker_tests::server::API_KEY;

use super::Desk;
use crate::clusters::Cluster;

#[tokio::test]
async fn checks_of_another_cluster_are_steered() {
    let far = Cluster::seen("far").await;
    let mut old = Cluster::seen("old").await;
    let mut gone = Cluster::seen("gone").await;
    gone.kill();
    let here = Cluster::seeing("here", &[&far, &old, &gone], "api").await;
    // what it said is kept
    here.alerting("old").await;
    here.api.read("/stats/old").await;
    old.kill();
    let desk = Desk::with_key(&here.api.url, API_KEY);
    for line in [
        "stalker clusters list",
        "stalker clusters list --check >all; echo $?",
        "stalker stats all",
        "stalker stats nowhere",
        "stalker checks list --state alerting --cluster far",
        "stalker checks list --state alerting --cluster old --check",
        "stalker checks list --state alerting --cluster gone",
        "stalker checks list --state alerting --cluster nowhere",
        "stalker checks list --cluster far --host web1",
        "stalker checks show --cluster far web1:check_load",
        "stalker checks run --cluster far web1:check_load",
        "stalker checks run --cluster far --host web1",
        "stalker checks suspend --cluster far 17",
        "stalker checks resume --cluster far web1/check_load",
        "stalker checks own --cluster far web1:check_load --as zoe",
        "stalker checks disown --cluster far web1:check_load",
        "stalker checks run --cluster gone 17",
        "stalker checks delete --cluster far web1:check_load --yes",
        "stalker checks run --cluster far 17",
        "stalker hosts delete --cluster far web1 --yes",
        "stalker checks run --cluster far web1:nope",
        "stalker checks run --cluster far",
        "stalker checks list --cluster far",
        "stalker audit list --newest --limit 2",
    ] {
        desk.runs(line).await;
    }
    desk.shows("checks_of_another_cluster_are_steered");
}

/// A check may be called so that it can be meant in two ways there as well; and one that is well is found.
#[tokio::test]
async fn which_check_of_another_cluster_is_meant_is_not_guessed() {
    let far = Cluster::seen("far").await;
    sqlx::raw_sql(
        "update check_state set status = 0, hard = false;
         insert into hosts (host_id, hostname, ip, roles) overriding system value values (101, 'a', '127.0.0.1', '{}'), (102, 'a:b', '127.0.0.1', '{}');
         insert into checks (check_id, host_id, name, cmd, args, declared_interval_s, declared_follow_up_s)
             overriding system value values (101, 101, 'b:c', '', '', 15, 15), (102, 102, 'c', '', '', 15, 15);
         insert into check_state (check_id, interval_s, phase_ms, due_at) values (101, 60, 0, '2100-01-01'), (102, 60, 0, '2100-01-01');",
    )
    .execute(far.database.pool())
    .await
    .expect("checks can be made up");
    let here = Cluster::seeing("here", &[&far], "api").await;
    let desk = Desk::with_key(&here.api.url, API_KEY);
    let said = desk
        .runs_quietly("stalker checks delete --cluster far a:b:c --yes")
        .await;
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("more than one check"), "{said:?}");
    let line = "stalker checks suspend --cluster far web1:check_load";
    assert_eq!(desk.runs_quietly(line).await.code, 0);
    assert_eq!(
        far.api.read("/checks/id/17").await["check"]["suspended"],
        true
    );
}

/// A server of before, which does not say why what another cluster said is old; and cannot list the checks of its hosts.
#[tokio::test]
async fn an_older_server_says_less() {
    let list = |age: u32| {
        let check = serde_json::json!({"id": "7", "hostname": "mail1", "check": "check_queue", "status": false});
        let answer = serde_json::json!({"old": {"alerting": [check], "age": age}});
        axum::routing::get(async move || axum::Json(answer))
    };
    for (age, code, words) in [
        (3, 1, "mail1"),
        (120, 1, "old does not answer; it was so 120 s ago"),
    ] {
        let app = axum::Router::new().route("/global/old/checks/state/alerting", list(age));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("loopback can be listened on");
        let address = listener.local_addr().expect("it has an address");
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        let desk = Desk::with_key(&format!("http://{address}"), API_KEY);
        let said = desk
            .runs_quietly("stalker checks list --state alerting --cluster old --check")
            .await;
        assert_eq!(said.code, code, "{said:?}");
        assert!(said.out.contains(words), "{said:?}");
        let said = desk
            .runs_quietly("stalker checks run --cluster old mail1:check_queue")
            .await;
        assert_ne!(said.code, 0, "{said:?}");
        server.abort();
    }
}
