//! Who takes care of a check, and who is told of it.

use super::*;

/// An open alert of `check_load`, told by three channels, of which two can show who owns it and one has accepted it.
const TOLD: &str = "
    insert into channels (name, provider, repeat_s, takes_acknowledge) values ('pager', 'http', 3600, true), ('deaf', 'http', 3600, true), ('mail', 'http', 3600, false);
    insert into alerts (kind, host_id, check_id, hostname, check_name, priority, status)
        select 'check', host_id, check_id, 'web1', name, 1, 2 from checks where name = 'check_load';
    insert into alert_targets (alert_id, channel, why) select 1, name, 'route 1' from channels;
    insert into notifications (alert_id, channel, kind, dedup_key, state, settled_at)
        select 1, name, 'trigger', 'key of ' || name, case name when 'deaf' then 'refused' else 'accepted' end, now() from channels;";

#[tokio::test]
async fn an_owner_is_set_made_known_and_given_up() {
    let served = serve(TestDatabase::new().await).await;
    let [disk, load] = served.register_original().await;
    served.execute(TOLD).await;
    let operator = served.client_with("operator").await;
    let done = (StatusCode::OK, json!({"success": true}));
    let path = format!("/checks/id/{load}/owner");
    let owner = async || served.api.read(&path).await["check"]["owner"].clone();
    let made_known = async || {
        let list = served.api.read("/notifications").await;
        let list = list["notifications"].as_array().expect("a list").clone();
        let text =
            |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        let acknowledges = list.iter().filter(|entry| entry["kind"] == "acknowledge");
        acknowledges
            .map(|entry| format!("{}: {}", text(entry, "channel"), text(entry, "key")))
            .collect::<Vec<_>>()
    };

    assert_eq!(owner().await, "");
    assert_eq!(operator.post(&path, &json!({"owner": " ann "})).await, done);
    assert_eq!(owner().await, "ann");
    assert_eq!(made_known().await, ["pager: key of pager"]);
    // once is enough, of each
    assert_eq!(operator.post(&path, &json!({"owner": "ann"})).await, done);
    assert_eq!(made_known().await.len(), 1);
    assert_eq!(operator.post(&path, &json!({"owner": "bob"})).await, done);
    assert_eq!(made_known().await.len(), 2);

    assert_eq!(operator.delete(&path).await, done);
    assert_eq!(operator.delete(&path).await, done);
    assert_eq!(owner().await, "");
    assert_eq!(made_known().await.len(), 2);
    // of a check without an alert there is nothing to make known
    let path = format!("/checks/id/{disk}/owner");
    assert_eq!(operator.post(&path, &json!({"owner": "ann"})).await, done);
    assert_eq!(made_known().await.len(), 2);
}

#[tokio::test]
async fn bad_owners_are_told_what_is_wrong() {
    let served = serve(TestDatabase::new().await).await;
    let [disk, _] = served.register_original().await;
    let path = format!("/checks/id/{disk}/owner");
    let too_long = "x".repeat(101);
    for body in [
        json!({}),
        json!({"owner": 7}),
        json!({"owner": null}),
        json!({"owner": " "}),
        json!({"owner": too_long}),
    ] {
        let (status, problem) = served.api.post(&path, &body).await;
        assert_eq!(
            (status, places(&problem)),
            (StatusCode::BAD_REQUEST, vec!["owner"]),
            "{problem}"
        );
    }
    let (status, problem) = served.api.post(&path, &json!({"owner": "a\u{0}b"})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
    for path in ["/checks/id/9999/owner", "/checks/id/none/owner"] {
        let ann = json!({"owner": "ann"});
        assert_eq!(served.api.get(path).await.0, StatusCode::NOT_FOUND);
        assert_eq!(served.api.post(path, &ann).await.0, StatusCode::NOT_FOUND);
        assert_eq!(served.api.delete(path).await.0, StatusCode::NOT_FOUND);
    }
    let viewer = served.client_with("viewer").await;
    let ann = json!({"owner": "ann"});
    assert_eq!(viewer.post(&path, &ann).await.0, StatusCode::FORBIDDEN);
    assert_eq!(viewer.delete(&path).await.0, StatusCode::FORBIDDEN);
    assert_eq!(viewer.get(&path).await.0, StatusCode::OK);
}
