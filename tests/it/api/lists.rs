//! Lists that are longer than a page.

use stalker_tests::database::TestDatabase;
use stalker_tests::fixture::{Past, add_checks};

use super::{Served, serve};

async fn ids(served: &Served, path: &str, field: &str) -> Vec<i64> {
    let list = served.api.read(path).await;
    let entries = list[field].as_array().expect("a list");
    entries
        .iter()
        .map(|entry| {
            entry["id"]
                .as_str()
                .and_then(|id| id.parse().ok())
                .expect("an id")
        })
        .collect()
}

#[tokio::test]
async fn long_lists_are_whole_and_in_order() {
    const N: i32 = 2500;
    let served = serve(TestDatabase::new().await).await;
    add_checks(served.pool(), "many", N, 300, Past::Healthy).await;
    let all: Vec<i64> = sqlx::query_scalar("select check_id from checks order by check_id")
        .fetch_all(served.pool())
        .await
        .expect("they can be read");
    assert_eq!(ids(&served, "/checks/", "checks").await, all);
    assert_eq!(ids(&served, "/checks/host/many", "checks").await, all);
    assert!(ids(&served, "/checks?limit=0", "checks").await.is_empty());
    assert_eq!(
        ids(&served, "/checks?limit=1000", "checks").await,
        all[..1000]
    );
    assert_eq!(
        ids(&served, "/checks?limit=1001", "checks").await,
        all[..1001]
    );
    let after = format!("/checks/?after={}", all[999]);
    assert_eq!(ids(&served, &after, "checks").await, all[1000..]);
    assert_eq!(
        ids(&served, &format!("{after}&limit=1200"), "checks").await,
        all[1000..2200]
    );

    served
        .run("update check_state set status = 2, suspended = true where check_id % 2 = 0")
        .await;
    let even: Vec<i64> = all.into_iter().filter(|id| id % 2 == 0).collect();
    assert_eq!(
        ids(&served, "/checks/state/alerting", "alerting").await,
        even
    );
    assert_eq!(
        ids(&served, "/checks/state/suspended/?limit=1100", "suspended").await,
        even[..1100]
    );
    served.run("insert into hosts (hostname, ip) select 'host' || i, '127.0.0.1' from generate_series(1, 2100) as i").await;
    assert_eq!(ids(&served, "/hosts/", "hosts").await.len(), 2101);
}

/// Half a list must not look like a whole one.
#[tokio::test]
async fn a_list_breaks_off_when_the_database_fails_in_the_middle() {
    let served = serve(TestDatabase::new().await).await;
    // far more than the sockets between us hold
    add_checks(served.pool(), "many", 60_000, 300, Past::Healthy).await;
    let mut answer = served
        .api
        .request(reqwest::Method::GET, "/checks")
        .send()
        .await
        .expect("the first page is there");
    assert!(answer.status().is_success());
    assert!(answer.chunk().await.expect("the list begins").is_some());
    served.run("alter table check_state rename to gone").await;
    let end = loop {
        match answer.chunk().await {
            Ok(Some(_)) => {}
            end => break end,
        }
    };
    assert!(end.is_err(), "the list ended as if it were whole");
}
