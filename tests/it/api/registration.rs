//! What a registration changes, and what it leaves alone (semantics.md, decision 9).

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use stalker_tests::api::Api;
use stalker_tests::database::TestDatabase;
use stalker_tests::server::API_KEY;

use super::{Served, original, places, serve};

const DAY: Duration = Duration::from_secs(86_400);

/// Everything that a registration must leave alone, and which version of the row it is.
async fn state(served: &Served, check_id: i64) -> Value {
    sqlx::query_scalar(
        "select jsonb_build_object('id', check_id, 'row', s.xmin::text, 'phase', phase_ms, 'due', due_at, 'owner', owner, 'suspended', suspended,
             'removed', removed, 'status', status, 'fails', fails, 'hard', hard, 'interval', s.interval_s, 'on_grid',
             (extract(epoch from due_at) * 1000)::bigint % (s.interval_s * 1000) = phase_ms, 'rush', rush_at is not null)
         from check_state s where check_id = $1",
    )
    .bind(check_id)
    .fetch_one(served.pool())
    .await
    .expect("the check has a state")
}

async fn register(served: &Served, registration: &Value) -> Value {
    let (status, body) = served.api.register(registration).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

#[tokio::test]
async fn a_new_check_is_on_its_grid_and_runs_within_ten_seconds() {
    let served = serve(TestDatabase::new().await).await;
    for id in served.register_original().await {
        let state = state(&served, id).await;
        assert_eq!(
            (&state["on_grid"], &state["suspended"]),
            (&json!(true), &json!(false)),
            "{state}"
        );
        let rush: f64 = sqlx::query_scalar("select extract(epoch from rush_at - now())::float8 from check_state where check_id = $1")
            .bind(id)
            .fetch_one(served.pool())
            .await
            .expect("a new check is off its grid");
        assert!(rush <= 10.0, "whatever its interval");
    }
}

#[tokio::test]
async fn an_unchanged_registration_touches_no_state() {
    let served = serve(TestDatabase::new().await).await;
    let ids = served.register_original().await;
    served
        .run("update check_state set suspended = true, owner = 'ann', status = 2, fails = 7")
        .await;
    let before = [state(&served, ids[0]).await, state(&served, ids[1]).await];
    served
        .run("update checks set registered_at = now() - interval '1 hour'")
        .await;
    served
        .run("update hosts set registered_at = now() - interval '1 hour'")
        .await;

    assert_eq!(
        register(&served, &original()).await,
        json!({"status": "ok", "added": 0, "returned": 0, "removed": 0})
    );
    assert_eq!(
        [state(&served, ids[0]).await, state(&served, ids[1]).await],
        before
    );
    let stale: i64 = sqlx::query_scalar("select count(*) from checks join hosts using (host_id) where least(checks.registered_at, hosts.registered_at) < now() - interval '1 minute'")
        .fetch_one(served.pool())
        .await
        .expect("they can be counted");
    assert_eq!(stale, 0, "the time is written");
}

#[tokio::test]
async fn an_edited_interval_moves_the_check_on_the_grid_and_leaves_the_rest() {
    let served = serve(TestDatabase::new().await).await;
    let [disk, load] = served.register_original().await;
    served.run("update check_state set suspended = true, owner = 'ann', status = 2, fails = 7, rush_at = null").await;
    let untouched = state(&served, load).await;
    let mut edited = original();
    edited["checks"]["check_disk"]["interval"] = json!(7);
    register(&served, &edited).await;

    let now = state(&served, disk).await;
    assert_eq!(
        (
            &now["interval"],
            &now["on_grid"],
            &now["owner"],
            &now["suspended"]
        ),
        (&json!(7), &json!(true), &json!("ann"), &json!(true))
    );
    let due_in: f64 = sqlx::query_scalar(
        "select extract(epoch from due_at - now())::float8 from check_state where check_id = $1",
    )
    .bind(disk)
    .fetch_one(served.pool())
    .await
    .expect("it has a state");
    assert!(
        (-5.0..=7.0).contains(&due_in),
        "due within its interval, not in {due_in} s"
    );
    assert_eq!(state(&served, load).await, untouched);
}

#[tokio::test]
async fn a_check_that_is_no_longer_named_is_removed_and_comes_back_as_it_was() {
    let served = serve(TestDatabase::with_clock().await).await;
    let [disk, load] = served.register_original().await;
    served
        .run("update check_state set suspended = true, status = 2, fails = 7, hard = true, lease = 1, leased_until = now() + interval '1 minute'")
        .await;
    served
        .run("insert into alerts (kind, host_id, check_id, priority) select 'check', host_id, check_id, 1 from checks")
        .await;
    let phase = state(&served, load).await["phase"].clone();
    let mut fewer = original();
    fewer["checks"]
        .as_object_mut()
        .expect("checks by name")
        .remove("check_load");
    assert_eq!(register(&served, &fewer).await["removed"], 1);

    assert_eq!(
        served.api.get(&format!("/checks/id/{load}")).await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(served.api.check("web1", "check_load").await, None);
    assert_eq!(
        served.api.read("/hosts/web1").await["checks"]["check_load"],
        Value::Null
    );
    let (lease, open): (Option<i64>, i64) = sqlx::query_as(
        "select lease, (select count(*) from alerts a where a.check_id = s.check_id and coalesce(close_reason, '') <> 'removed') from check_state s where check_id = $1",
    )
    .bind(load)
    .fetch_one(served.pool())
    .await
    .expect("it keeps its state");
    assert_eq!(
        (lease, open),
        (None, 0),
        "a late outcome is refused, its alert is closed"
    );
    assert_eq!(state(&served, disk).await["removed"], false);

    served.database.advance(29 * DAY).await;
    assert_eq!(register(&served, &original()).await["returned"], 1);
    let back = state(&served, load).await;
    assert_eq!(
        (
            &back["phase"],
            &back["suspended"],
            &back["status"],
            &back["fails"],
            &back["rush"],
            &back["hard"]
        ),
        (
            &phase,
            &json!(true),
            &json!(2),
            &json!(7),
            &json!(true),
            &json!(false)
        )
    );

    register(&served, &fewer).await;
    served.database.advance(31 * DAY).await;
    register(&served, &original()).await;
    let fresh = state(&served, load).await;
    assert_eq!(
        (&fresh["suspended"], &fresh["status"], &fresh["fails"]),
        (&json!(false), &Value::Null, &json!(0)),
        "{fresh}"
    );
}

#[tokio::test]
async fn removing_every_check_is_accepted_with_a_warning() {
    let served = serve(TestDatabase::new().await).await;
    served.register_original().await;
    let body = register(&served, &json!({"hostname": "web1", "checks": {}})).await;
    assert_eq!(body["removed"], 2);
    assert!(body["warning"].is_string(), "{body}");
    assert_eq!(
        register(&served, &json!({"hostname": "web1", "checks": {}})).await["warning"],
        Value::Null,
        "said once"
    );
}

#[tokio::test]
async fn registrations_of_one_new_host_at_the_same_time_all_succeed() {
    let served = serve(TestDatabase::new().await).await;
    let registration = original();
    let all = std::iter::repeat_with(|| {
        let (api, registration) = (served.api.clone(), registration.clone());
        tokio::spawn(async move { api.register(&registration).await })
    });
    for answer in all.take(16).collect::<Vec<_>>() {
        let (status, body) = answer.await.expect("no panic");
        assert_eq!(status, StatusCode::OK, "{body}");
    }
    let counts: (i64, i64, i64) = sqlx::query_as("select (select count(*) from hosts), (select count(*) from checks), (select count(*) from check_state)")
        .fetch_one(served.pool())
        .await
        .expect("they can be counted");
    assert_eq!(counts, (1, 2, 2));
}

#[tokio::test]
async fn a_registered_certificate_replaces_the_pin_and_none_leaves_it() {
    let served = serve(TestDatabase::new().await).await;
    served.register_original().await;
    let (seen, own) = ("a".repeat(64), "b".repeat(64));
    sqlx::query("update hosts set cert_sha256 = $1, cert_origin = 'first_seen'")
        .bind(&seen)
        .execute(served.pool())
        .await
        .expect("a pin can be set");
    let pin = || async {
        let host = served.api.read("/hosts/web1").await;
        (host["cert_sha256"].clone(), host["cert_origin"].clone())
    };
    register(&served, &original()).await;
    assert_eq!(pin().await, (json!(seen), json!("first_seen")));
    let mut with_certificate = original();
    with_certificate["cert_sha256"] = json!(own);
    register(&served, &with_certificate).await;
    assert_eq!(pin().await, (json!(own), json!("registered")));
    register(&served, &original()).await;
    assert_eq!(pin().await, (json!(own), json!("registered")));
}

#[tokio::test]
async fn a_wrong_registration_is_refused_with_every_mistake_and_changes_nothing() {
    let served = serve(TestDatabase::new().await).await;
    let mut wrong = original();
    wrong["hostname"] = json!("web/1");
    wrong["checks"]["check_load"] = json!({"args": 1, "interval": 604_801, "env": "x"});
    let (status, problem) = served.api.register(&wrong).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let load = |field: &str| format!("checks.check_load.{field}");
    assert_eq!(
        places(&problem),
        [
            "hostname",
            &load("env"),
            &load("args"),
            &load("interval"),
            &load("follow_up")
        ]
    );

    let (status, _) = Api::new(&served.api.url, API_KEY, "wrong")
        .register(&original())
        .await;
    assert_eq!(status, StatusCode::PRECONDITION_FAILED);
    let (status, _) = served
        .api
        .register(&json!({"hostname": "web1", "checks": {}, "padding": "x".repeat(1024 * 1024)}))
        .await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(served.api.read("/hosts").await, json!({"hosts": []}));
}

/// Recorders lock many states in the order of ids; a registration that edits, removes and brings back must do so too.
/// A deadlock would be answered with 503.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn registrations_and_recorders_wait_for_each_other_in_one_order() {
    const CHECKS: i64 = 40;
    let served = serve(TestDatabase::new().await).await;
    // of 40 checks another third is missing each time, and another third has another interval
    let variant = |n: i64| {
        let checks = (0..CHECKS).filter(|i| i % 3 != n % 3).map(|i| {
            let check = json!({"args": "", "interval": 10 + (i + n) % 2, "follow_up": 5});
            (format!("check_{i}"), check)
        });
        json!({"hostname": "web1", "checks": checks.collect::<serde_json::Map<_, _>>()})
    };
    let mut recorders = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let pool = served.pool().clone();
        recorders.spawn(async move {
            loop {
                sqlx::query(
                    "update check_state s set last_at = now()
                     from (select check_id from check_state order by check_id for no key update) as r
                     where s.check_id = r.check_id",
                )
                .execute(&pool)
                .await
                .expect("a recorder is not chosen to die");
            }
        });
    }
    for n in 0..60 {
        register(&served, &variant(n)).await;
    }
    recorders.abort_all();
    while let Some(ended) = recorders.join_next().await {
        assert!(
            ended.is_err_and(|error| error.is_cancelled()),
            "a recorder died"
        );
    }
    let wrong: i64 = sqlx::query_scalar(
        "select count(*) from checks k join check_state s using (check_id)
         where s.interval_s <> k.interval_s and not s.removed or s.removed <> (k.removed_at is not null)",
    )
    .fetch_one(served.pool())
    .await
    .expect("they can be counted");
    assert_eq!(wrong, 0, "definitions and states agree");
}
