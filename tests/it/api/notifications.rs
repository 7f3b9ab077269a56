//! Notifications: their list, why each was not sent, and another try for what was refused. Nothing runs but the API, so
//! what workers and schedulers would leave behind is put straight into the tables.

use super::*;

/// One host with two checks, two channels, and two open alerts: of `check_disk` (1) and of the host (2).
const ALERTS: &str = "
    insert into channels (name, provider, repeat_s) values ('pager', 'http', 3600), ('mail', 'http', 3600);
    insert into hosts (hostname, ip) values ('web1', '127.0.0.1');
    insert into checks (host_id, name, declared_interval_s, declared_follow_up_s) values (1, 'check_disk', 60, 60);
    insert into check_state (check_id, interval_s, phase_ms, due_at) values (1, 60, 0, now());
    insert into alerts (kind, host_id, check_id, hostname, check_name, priority, status) values ('check', 1, 1, 'web1', 'check_disk', 1, 2);
    insert into alerts (kind, host_id, hostname, priority) values ('host', 1, 'web2', 1);";

async fn served(more: &'static str) -> Served {
    let served = serve(TestDatabase::new().await).await;
    served.execute(ALERTS).await;
    served.execute(more).await;
    served
}

/// Of a list, what `show` makes of its entries.
async fn shown(served: &Served, query: &str, show: impl Fn(&Value) -> String) -> Vec<String> {
    let list = served.api.read(&format!("/notifications/{query}")).await;
    let entries = list["notifications"].as_array().expect("a list");
    entries.iter().map(show).collect()
}

async fn ids(served: &Served, query: &str) -> Vec<i64> {
    let id = |entry: &Value| entry["id"].as_str().expect("an id").to_owned();
    let ids = shown(served, query, id).await;
    ids.iter().map(|id| id.parse().expect("a number")).collect()
}

#[tokio::test]
async fn every_attempt_is_shown() {
    let served = served(
        "insert into notifications (alert_id, channel, kind, dedup_key, state, reason, attempts, created_at, settled_at, may_have_arrived)
         values (1, 'pager', 'trigger', 'web1:check_disk:1', 'refused', 'HTTP 400', 2, to_timestamp(100), to_timestamp(110), true);
         insert into attempts (notification_id, n, began_at, ended_at, latency_ms, http_status, error, answer, may_have_arrived)
         values (1, 2, to_timestamp(106), to_timestamp(110), 4000, 400, 'HTTP 400', 'no \"such\" key', false),
                (1, 1, to_timestamp(101), to_timestamp(102), 900, null, 'reset', null, true);
         insert into notifications (alert_id, channel, kind, dedup_key, state, attempts, created_at, next_attempt_at)
         values (2, 'mail', 'trigger', 'web2:2', 'sending', 1, to_timestamp(100), to_timestamp(100));
         insert into attempts (notification_id, n, began_at) values (2, 1, to_timestamp(101));",
    )
    .await;
    let refused = json!({
        "id": "1", "alert": "1", "hostname": "web1", "check": "check_disk", "channel": "pager", "kind": "trigger", "n": 1,
        "key": "web1:check_disk:1", "state": "refused", "reason": "HTTP 400", "created": 100, "next": null, "settled": 110,
        "may_have_arrived": true,
        "attempts": [
            {"n": 1, "time": 101, "latency_ms": 900, "status_code": null, "error": "reset", "answer": null, "may_have_arrived": true},
            {"n": 2, "time": 106, "latency_ms": 4000, "status_code": 400, "error": "HTTP 400", "answer": "no \"such\" key", "may_have_arrived": false},
        ],
    });
    let sending = json!({
        "id": "2", "alert": "2", "hostname": "web2", "check": "", "channel": "mail", "kind": "trigger", "n": 1, "key": "web2:2",
        "state": "sending", "reason": "trigger 1 is being sent", "created": 100, "next": null, "settled": null, "may_have_arrived": false,
        "attempts": [{"n": 1, "time": 101, "latency_ms": null, "status_code": null, "error": null, "answer": null, "may_have_arrived": null}],
    });
    assert_eq!(
        served.api.read("/notifications").await,
        json!({"notifications": [refused, sending]})
    );
}

#[tokio::test]
async fn filters_and_parts_of_the_list() {
    // five repeats to each channel of each alert, the ids in turns
    let served = served(
        "insert into notifications (alert_id, channel, kind, n, dedup_key, state, settled_at)
         select alert_id, channel, 'repeat', n, 'x', state, case when state <> 'pending' then now() end
         from generate_series(1, 5) as n, (values (1), (2)) as a(alert_id), (values ('pager'), ('mail')) as c(channel),
              lateral (select case when n = 5 then 'pending' when n = 4 then 'refused' else 'accepted' end as state) as s
         order by n, alert_id, channel desc;",
    )
    .await;
    // of four: pager of alert 1, mail of alert 1, pager of alert 2, mail of alert 2
    let of = |which: fn(i64) -> bool| {
        (1..=20)
            .filter(|id| which((id - 1) % 4))
            .collect::<Vec<_>>()
    };
    let all: Vec<i64> = (1..=20).collect();
    for (query, expected) in [
        ("", all.clone()),
        ("?alert=1", of(|i| i < 2)),
        ("?host=web2", of(|i| i >= 2)),
        ("?channel=mail", of(|i| i % 2 == 1)),
        ("?state=pending", all[16..].to_vec()),
        ("?state=accepted", all[..12].to_vec()),
        ("?state=accepted&channel=pager", vec![1, 3, 5, 7, 9, 11]),
        ("?state=refused&channel=pager", vec![13, 15]),
        ("?alert=2&channel=mail&state=refused", vec![16]),
        ("?alert=2&host=web1", vec![]),
        ("?host=web1&state=pending", vec![17, 18]),
        ("?host=nobody", vec![]),
        ("?channel=nobody", vec![]),
        ("?alert=77", vec![]),
        ("?state=dropped", vec![]),
        ("?limit=3", all[..3].to_vec()),
        ("?limit=0", vec![]),
        ("?after=18", all[18..].to_vec()),
        ("?channel=pager&after=3&limit=2", vec![5, 7]),
        ("?alert=1&after=2&limit=1", vec![5]),
        ("?host=web2&after=4&limit=2", vec![7, 8]),
        ("?state=refused&after=14", vec![15, 16]),
    ] {
        assert_eq!(ids(&served, query).await, expected, "{query}");
    }
    served
        .execute(
            "insert into notifications (alert_id, channel, kind, n, dedup_key) select 1, 'mail', 'repeat', n, 'x' from generate_series(6, 2505) as n",
        )
        .await;
    assert_eq!(ids(&served, "").await.len(), 2520);
    assert_eq!(ids(&served, "?state=pending&alert=1").await.len(), 2502);
}

#[tokio::test]
async fn what_was_not_sent_says_why() {
    let served = served(
        "insert into channels (name, provider, repeat_s) values ('gone', 'http', 3600), ('old', 'http', 3600), ('later', 'http', 3600);
         update channels set disabled_at = now(), disabled_why = 'HTTP 410' where name = 'gone';
         update channels set retired_at = now() where name = 'old';
         insert into maintenances (starts_at, ends_at, hosts, author, reason) values (now(), now() + interval '1 hour', '{web1}', 'ann', 'disks');
         insert into notifications (alert_id, channel, kind, dedup_key, next_attempt_at, waits_until, attempts) values
             (1, 'pager', 'trigger', 'x', now(), null, 0),
             (2, 'pager', 'trigger', 'x', now(), null, 0),
             (1, 'pager', 'resolve', 'y', '2999-01-01T00:00:00Z', null, 1),
             (2, 'later', 'trigger', 'z', '2999-01-01T00:00:00Z', '2999-01-01T00:00:00Z', 1),
             (2, 'gone', 'trigger', 'x', now(), null, 0),
             (2, 'old', 'trigger', 'x', now(), null, 0);
         insert into notifications (alert_id, channel, kind, dedup_key, state, reason, settled_at) values
             (2, 'mail', 'trigger', 'x', 'dropped', 'flood', now()), (1, 'mail', 'trigger', 'x', 'superseded', 'the alert closed', now());",
    )
    .await;
    let reason = |entry: &Value| entry["reason"].as_str().unwrap_or_default().to_owned();
    let mut reasons = shown(&served, "", reason).await;
    assert!(
        reasons[0].starts_with("suppressed: maintenance 1 by ann until 20")
            && reasons[0].ends_with(": disks"),
        "{reasons:?}"
    );
    assert_eq!(
        reasons.split_off(1),
        [
            "trigger 1 waits for the end of notification 1, of the same key",
            // a maintenance does not keep what is over
            "next attempt of resolve 1 at 2999-01-01T00:00:00Z",
            "next attempt of trigger 1 at 2999-01-01T00:00:00Z, as its receiver asked",
            "the channel is disabled: HTTP 410",
            "the channel is not configured any more",
            "flood",
            "the alert closed",
        ]
    );
}

/// An open alert (1), one of a host (2), one that closed just now (3) and one long ago (4), and a flood (5). Dead letters
/// are notifications 2, 3, 7 and 9: of a check, of who owns it, of an end, of a flood.
const REFUSED: &str = "
    insert into alerts (kind, host_id, check_id, hostname, check_name, priority, status, closed_at, close_reason, is_settled) values
        ('check', 1, 7, 'web1', 'check_x', 1, 2, now(), 'recovered', false), ('check', 1, 8, 'web1', 'check_y', 1, 2, now() - interval '4 days', 'recovered', true);
    insert into alerts (kind, priority, threshold, window_s, takes_in) values ('flood', 1, 5, 60, false);
    insert into channels (name, provider, repeat_s, retired_at) values ('old', 'http', 3600, now()), ('later', 'http', 3600, null);
    insert into notifications (alert_id, channel, kind, dedup_key, state, reason, attempts, expires_at, settled_at) values
        (1, 'pager', 'trigger', 'a', 'refused', 'no', 1, null, now()),
        (1, 'pager', 'repeat', 'a', 'refused', 'no', 1, null, now()),
        (1, 'pager', 'acknowledge', 'a', 'refused', 'no', 1, now() + interval '5 min', now()),
        (2, 'pager', 'acknowledge', 'b', 'refused', 'no', 1, '2020-01-01T00:00:00Z', now()),
        (2, 'old', 'trigger', 'b', 'refused', 'no', 1, null, now()),
        (3, 'pager', 'trigger', 'c', 'refused', 'no', 1, null, now()),
        (3, 'mail', 'resolve', 'c', 'refused', 'no', 1, now() + interval '1 hour', now()),
        (4, 'mail', 'resolve', 'd', 'refused', 'no', 1, '2020-01-01T00:00:00Z', now()),
        (5, 'pager', 'trigger', 'e', 'refused', 'no', 1, null, now()),
        (5, 'mail', 'trigger', 'e', 'accepted', null, 1, null, now()),
        -- with stable keys: it would end the incident of the next
        (3, 'later', 'resolve', 'f', 'refused', 'no', 1, now() + interval '1 hour', now()),
        (5, 'later', 'trigger', 'f', 'accepted', null, 1, null, now());";

/// What can still be delivered is, and of whatever else was refused the answer says why not.
#[tokio::test]
async fn only_dead_letters_are_tried_again() {
    let served = served(REFUSED).await;
    assert_eq!(served.api.read("/stats").await["here"]["dead_letters"], 4);
    let doctor = served.installation.tool(&["doctor"]).await.1;
    let dead: Vec<&str> = doctor
        .lines()
        .filter(|line| line.contains("was refused at"))
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    assert_eq!(dead, ["2", "3", "7", "9"], "{doctor}");

    let later = "a later notification says what it would say, or would be undone by it";
    let expired = "it was of no use any more after 2020-01-01T00:00:00Z";
    for (id, why) in [
        (1, later),
        (2, ""),
        (3, ""),
        (4, expired),
        (5, "its channel is not configured any more"),
        (6, "its alert has closed"),
        (7, ""),
        (8, expired),
        (9, ""),
        (10, "it is accepted, not refused"),
        (11, later),
        // it was tried a moment ago
        (2, "it is pending, not refused"),
    ] {
        let path = format!("/notifications/{id}/retry");
        let answer = served.api.post(&path, &json!({})).await;
        if why.is_empty() {
            assert_eq!(answer, (StatusCode::OK, json!({"success": true})), "{id}");
            continue;
        }
        assert_eq!(answer.0, StatusCode::CONFLICT, "{id}");
        let expected = format!("notification {id} is not tried again: {why}");
        assert_eq!(answer.1["detail"], expected);
    }
    assert_eq!(ids(&served, "?state=pending").await, [2, 3, 7, 9]);
    assert_eq!(served.api.read("/stats").await["here"]["dead_letters"], 0);
}

#[tokio::test]
async fn bad_requests_are_told_what_is_wrong() {
    let served = served(REFUSED).await;
    let (status, problem) = served.api.get("/notifications?state=lost").await;
    assert_eq!(
        (status, places(&problem)),
        (StatusCode::BAD_REQUEST, vec!["state"])
    );
    for query in ["alert=x", "limit=x", "after=x"] {
        let (status, _) = served.api.get(&format!("/notifications?{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
    }
    for id in ["999", "none"] {
        let path = format!("/notifications/{id}/retry");
        let (status, problem) = served.api.post(&path, &json!({})).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{problem}");
    }
    let viewer = served.client_with("viewer").await;
    let (status, _) = viewer.post("/notifications/2/retry", &json!({})).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(viewer.get("/notifications").await.0, StatusCode::OK);
    let without_key = served.anonymous("/notifications").await;
    assert_eq!(without_key.status(), StatusCode::UNAUTHORIZED);
}
