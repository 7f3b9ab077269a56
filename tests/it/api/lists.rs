//! Lists that are longer than a page.

use stalker_db::{checks, maintenances};
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

/// At night one wants the last entries.
#[tokio::test]
async fn the_newest_of_the_audit_come_first_if_asked() {
    let served = serve(TestDatabase::new().await).await;
    served
        .execute(
            "insert into audit (at, actor_kind, actor, address, action, subject)
             select timestamptz '2030-01-01' + interval '1 min' * i, 'user', case when i % 2 = 0 then 'ann' else 'bob' end, '', 'a', 'b'
             from generate_series(1, 2500) i;
             -- entries may stand in another order than their times, as far as transactions last
             insert into audit (at, actor_kind, actor, address, action, subject) values ('2030-01-01 12:00', 'user', 'late', '', 'a', 'b');",
        )
        .await;
    let all: Vec<i64> = sqlx::query_scalar("select audit_id from audit order by audit_id desc")
        .fetch_all(served.pool())
        .await
        .expect("they can be read");
    let newest = async |query: &str| ids(&served, &format!("/audit?{query}"), "audit").await;
    assert_eq!(newest("newest=true").await, all);
    assert_eq!(newest("newest=true&limit=10").await, all[..10]);
    let after = format!("newest=true&limit=1500&after={}", all[9]);
    assert_eq!(newest(&after).await, all[10..1510]);
    assert_eq!(newest("newest=true&actor=late").await, all[..1]);
    assert_eq!(newest("newest=false&limit=1").await, all[all.len() - 1..]);
    assert_eq!(newest("limit=1").await, all[all.len() - 1..]);
    // 2030-01-01 00:00 and what follows; of each the first minute is in it, the last is not
    let noon = 1_893_456_000 + 12 * 3600;
    let hour = format!("from={}&to={}", noon - 3600, noon);
    let within = newest(&hour).await;
    assert_eq!(within.len(), 60, "{within:?}");
    let mut downwards = newest(&format!("newest=true&{hour}")).await;
    downwards.reverse();
    assert_eq!(downwards, within);
    assert!(newest("from=1&to=2").await.is_empty());
    assert!(newest("newest=true&from=4000000000").await.is_empty());
}

/// The bound of ids that a time becomes leaves room for transactions that began earlier and wrote later.
#[tokio::test]
async fn times_that_stand_in_another_order_than_ids_are_found() {
    let served = serve(TestDatabase::new().await).await;
    served
        .execute(
            "insert into alerts (kind, host_id, hostname, priority, opened_at, closed_at, close_reason)
             select 'host', 1, 'web1', 1, timestamptz '2030-01-01' + interval '1 min' * case when i = 50 then 20 when i = 20 then 50 else i end, '2031-01-01', 'answered'
             from generate_series(1, 100) i;",
        )
        .await;
    let found = async |query: &str| ids(&served, &format!("/alerts?{query}"), "alerts").await;
    let start = 1_893_456_000;
    let since_49 = found(&format!("from={}", start + 49 * 60)).await;
    let wanted: Vec<i64> = [20, 49].into_iter().chain(51..=100).collect();
    assert_eq!(since_49, wanted);
    let until_22 = found(&format!("to={}", start + 22 * 60)).await;
    let wanted: Vec<i64> = (1..=19).chain([21, 50]).collect();
    assert_eq!(until_22, wanted);
}

#[tokio::test]
async fn users_keys_and_maintenances_come_in_parts() {
    let served = serve(TestDatabase::new().await).await;
    served
        .execute(
            "insert into users (username, access, password_hash) select 'user' || to_char(i, 'FM0000'), 'viewer', '' from generate_series(1, 1200) i;
             insert into api_keys (name, hash, access, revoked_at) select 'key', decode(md5(i::text), 'hex'), 'viewer', now() from generate_series(1, 1200) i;
             insert into hosts (hostname, ip, roles) values ('web1', '10.0.0.1', '{web}'), ('db1', '10.0.0.2', '{db}');
             insert into maintenances (starts_at, ends_at, hosts, roles, checks, author, reason) values
                 (now() - interval '2 h', now() - interval '1 h', '{web*}', null, null, 'ann', ''), (now() + interval '1 h', now() + interval '2 h', null, '{d?}', null, 'ann', ''),
                 (now(), now() + interval '1 h', null, null, '{disk}', 'ann', ''), (now(), now() + interval '1 h', '{web1}', '{db}', null, 'ann', '');",
        )
        .await;
    let names = async |path: &str| -> Vec<String> {
        let users = served.api.read(path).await;
        let users = users["users"].as_array().expect("a list").iter();
        users
            .map(|user| user["username"].as_str().expect("a name").to_owned())
            .collect()
    };
    let all = names("/user").await;
    assert_eq!(all.len(), 1200);
    assert_eq!(names("/user/?limit=3&after=user0007").await, all[7..10]);
    assert_eq!(names("/user?after=user1199").await, all[1199..]);
    assert!(names("/user?after=z").await.is_empty());

    let keys = ids(&served, "/keys", "keys").await;
    assert!(keys.len() > 1200 && keys.is_sorted());
    let after = format!("/keys?limit=5&after={}", keys[1099]);
    assert_eq!(ids(&served, &after, "keys").await, keys[1100..1105]);

    for (query, wanted) in [
        ("", vec![2, 3, 4]),
        ("?past=true", vec![1, 2, 3, 4]),
        ("?past=true&limit=2&after=1", vec![2, 3]),
        ("?host=web1", vec![3]),
        ("?host=10.0.0.1&past=true", vec![1, 3]),
        ("?host=db1&past=true", vec![2, 3]),
        ("?host=nobody&past=true", vec![]),
    ] {
        let found = ids(&served, &format!("/maintenances{query}"), "maintenances").await;
        assert_eq!(found, wanted, "{query}");
    }
}

/// The list looks where maintenances reach; whether a check is in one is said by itself as well.
#[tokio::test]
async fn the_list_of_what_is_in_maintenance_is_what_says_so() {
    let database = TestDatabase::new().await;
    for (name, role) in [
        ("web1", "web"),
        ("web10", "web%"),
        ("we_b1", "db"),
        ("déjà", "x*"),
    ] {
        add_checks(database.pool(), name, 12, 300, Past::Healthy).await;
        sqlx::query("update hosts set roles = array[$2] where hostname = $1")
            .bind(name)
            .bind(role)
            .execute(database.pool())
            .await
            .expect("a role can be set");
    }
    let check: String = sqlx::query_scalar("select min(name) from checks")
        .fetch_one(database.pool())
        .await
        .expect("there are checks");
    for (hosts, roles, checks) in [
        (Some("web1"), None, None),
        (Some("web?*"), None, None),
        (Some("we_b*"), None, None),
        (Some("*1"), None, None),
        (Some("d?j*"), None, None),
        (Some("nobody"), None, None),
        (None, Some("web"), None),
        (None, Some("web%"), None),
        (None, Some("?*"), None),
        (None, None, Some(check.as_str())),
        (None, None, Some("*1")),
        (Some("web*"), Some("web"), Some(check.as_str())),
    ] {
        let id: i64 = sqlx::query_scalar(
            "insert into maintenances (ends_at, hosts, roles, checks, author, reason)
             values (now() + interval '1 h', string_to_array($1, ','), string_to_array($2, ','), string_to_array($3, ','), '', '') returning maintenance_id",
        )
        .bind(hosts)
        .bind(roles)
        .bind(checks)
        .fetch_one(database.pool())
        .await
        .expect("it can be declared");
        let listed = async |state| -> Vec<(i64, bool)> {
            let which = checks::Which {
                state,
                ..Default::default()
            };
            let page = checks::page(database.pool(), &which, 0, 1000).await;
            let page = page.expect("a page can be read").into_iter();
            page.map(|check| (check.check_id, check.is_in_maintenance))
                .collect()
        };
        let mut say_so = listed(checks::State::Any).await;
        say_so.retain(|(_, is_in_maintenance)| *is_in_maintenance);
        let what = format!("{hosts:?} {roles:?} {checks:?}");
        assert_eq!(listed(checks::State::InMaintenance).await, say_so, "{what}");
        let reach = maintenances::reach(database.pool(), id).await;
        assert_eq!(
            reach.expect("it can be counted"),
            say_so.len() as i64,
            "{what}"
        );
        sqlx::query("delete from maintenances")
            .execute(database.pool())
            .await
            .expect("it can be deleted");
    }
}
