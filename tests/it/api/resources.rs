//! What there is besides hosts and checks: shapes, empty lists, unknown ids, wrong bodies.

use stalker_domain::wire::AGENT_TOKEN_HEADER;

use super::*;

const DONE: fn() -> (StatusCode, Value) = || (StatusCode::OK, json!({"success": true}));

#[tokio::test]
async fn lists_are_empty_and_ids_unknown() {
    let served = serve(TestDatabase::new().await).await;
    for (path, field) in [
        ("/alerts", "alerts"),
        ("/maintenances", "maintenances"),
        ("/replicas", "replicas"),
        ("/user", "users"),
        ("/sessions", "sessions"),
        ("/hosts", "hosts"),
        ("/checks", "checks"),
        ("/notifications", "notifications"),
    ] {
        for slash in ["", "/"] {
            assert_eq!(
                served.api.read(&format!("{path}{slash}")).await,
                json!({field: []}),
                "{path}"
            );
        }
    }
    assert_eq!(
        served.api.read("/global/clusters").await,
        json!({"clusters": {}})
    );
    let audit = served.api.read("/audit/?actor=nobody").await;
    assert_eq!(audit, json!({"audit": []}));
    assert_eq!(served.api.read("/findhost/?q=x").await, "");
    for path in [
        "/alerts/1",
        "/maintenances/1",
        "/samples/1",
        "/notes/x",
        "/hosts/x/pin",
        "/stats/x",
        "/checks/id/1/overrides",
        "/alerts/none",
    ] {
        let (status, problem) = served.api.get(path).await;
        assert_eq!(
            (status, &problem["status"]),
            (StatusCode::NOT_FOUND, &json!(404)),
            "{path}"
        );
    }
    for path in [
        "/findhost",
        "/alerts?status=bad",
        "/alerts?kind=bad",
        "/alerts?suppression=bad",
        "/alerts?from=soon",
        "/alerts?after=x",
        "/audit?to=-1",
        "/checks?status=bad",
        "/checks?limit=-1",
        "/global/x/checks/state/alerting",
        "/global/here/checks/state/bad",
        "/maintenances?past=perhaps",
    ] {
        assert_eq!(
            served.api.get(path).await.0,
            StatusCode::BAD_REQUEST,
            "{path}"
        );
    }
    let mut numbers = served.api.read("/stats").await;
    // it is this one, and now
    numbers["here"]["age"] = json!(0);
    numbers["here"]["error"] = Value::Null;
    assert_eq!(served.api.read("/stats/here").await, numbers);
    assert_eq!(served.api.read("/stats/all").await, json!({"all": numbers}));
    let within = served.api.read("/global/here/checks/state/alerting").await;
    assert_eq!(
        within,
        json!({"here": {"alerting": [], "age": 0, "error": null}})
    );
}

#[tokio::test]
async fn notes_say_what_was_failing() {
    let served = serve(TestDatabase::new().await).await;
    served.register_original().await;
    assert_eq!(served.api.read("/notes/web1").await, json!({"notes": []}));
    served.run("update check_state set status = 2 where check_id = (select check_id from checks where name = 'check_load')").await;
    assert_eq!(
        served
            .api
            .post(
                "/notes/web1/",
                &json!({"user": "ann", "note": " disk ordered "})
            )
            .await,
        DONE()
    );
    assert_eq!(
        served
            .api
            .post("/notes/127.0.0.1", &json!({"note": "by a key"}))
            .await,
        DONE()
    );
    let ann = served.person("bob", "operator").await;
    let request = served.as_person(&ann, Method::POST, "/notes/web1");
    let answer = request
        .json(&json!({"user": "ann", "note": "not by ann"}))
        .send()
        .await;
    assert_eq!(answer.expect("the API answers").status(), StatusCode::OK);
    let notes = served.api.read("/notes/web1").await;
    let notes = notes["notes"].as_array().expect("a list").clone();
    let told: Vec<(&Value, &Value)> = notes
        .iter()
        .map(|note| (&note["user"], &note["note"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!("ann"), &json!("disk ordered")),
            (&json!("configuration"), &json!("by a key")),
            (&json!("bob"), &json!("not by ann")),
        ]
    );
    assert_eq!(
        (&notes[0]["hostname"], &notes[0]["alerting"]),
        (&json!("web1"), &json!(["check_load"]))
    );
    assert!(notes[0]["ts"].is_i64());
    let last = served.api.read("/notes/web1?limit=1").await;
    assert_eq!(last["notes"][0]["note"], "not by ann");
    for (body, at) in [
        (json!({}), "note"),
        (json!({"note": ""}), "note"),
        (json!({"note": "x", "user": 7}), "user"),
        (json!([]), "body"),
    ] {
        let (status, problem) = served.api.post("/notes/web1", &body).await;
        assert_eq!(
            (status, places(&problem)),
            (StatusCode::BAD_REQUEST, vec![at]),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn maintenances_are_declared_moved_and_ended() {
    let served = serve(TestDatabase::new().await).await;
    served.register_original().await;
    let api = &served.api;
    let (status, declared) = api
        .post(
            "/maintenances",
            &json!({"hosts": ["web*"], "lasts": 3600, "reason": "new disks"}),
        )
        .await;
    assert_eq!(status, StatusCode::OK, "{declared}");
    let maintenance = &declared["maintenance"];
    assert_eq!(
        (
            &maintenance["phase"],
            &maintenance["hosts"],
            &maintenance["roles"],
            &maintenance["author"],
            &declared["reach"]
        ),
        (
            &json!("now"),
            &json!(["web*"]),
            &Value::Null,
            &json!("configuration"),
            &json!(2)
        )
    );
    assert_eq!(
        api.read("/maintenances/").await,
        json!({"maintenances": [maintenance]})
    );
    assert_eq!(
        api.read("/checks/state/in_maintenance").await["in_maintenance"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    let path = format!(
        "/maintenances/{}",
        maintenance["id"].as_str().expect("an id")
    );

    // who has not seen the newest version changes nothing
    let seen = api
        .request(Method::GET, &path)
        .send()
        .await
        .expect("the API answers");
    let tag = seen.headers()["etag"].clone();
    let again = api
        .request(Method::GET, &path)
        .header("if-none-match", &tag)
        .send()
        .await
        .expect("the API answers");
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    let ends = maintenance["ends"].as_i64().expect("seconds");
    let change = async |tag: &reqwest::header::HeaderValue, ends: i64| {
        let request = api.request(Method::POST, &path).header("if-match", tag);
        request
            .json(&json!({"ends": ends}))
            .send()
            .await
            .expect("the API answers")
            .status()
    };
    assert_eq!(change(&tag, ends + 60).await, StatusCode::OK);
    assert_eq!(
        change(&tag, ends + 120).await,
        StatusCode::PRECONDITION_FAILED
    );
    assert_eq!(api.read(&path).await["ends"], ends + 60);
    let (status, problem) = api.post(&path, &json!({"ends": 1})).await;
    assert_eq!(
        (status, places(&problem)),
        (StatusCode::BAD_REQUEST, vec!["ends"])
    );

    assert_eq!(api.delete(&path).await, DONE());
    assert_eq!(api.delete(&path).await.0, StatusCode::CONFLICT);
    assert_eq!(
        api.post(&path, &json!({"ends": ends})).await.0,
        StatusCode::CONFLICT
    );
    assert_eq!(api.read("/maintenances").await, json!({"maintenances": []}));
    assert_eq!(
        api.read("/maintenances?past=true").await["maintenances"][0]["phase"],
        "over"
    );
    for (body, at) in [
        (json!({}), vec!["ends", "reason"]),
        (
            json!({"ends": 4_000_000_000_u32, "lasts": 1, "reason": "x"}),
            vec!["lasts"],
        ),
        (json!({"lasts": 60, "reason": "x"}), vec!["hosts"]),
        (
            json!({"lasts": 60, "reason": "x", "hosts": [""], "roles": 1}),
            vec!["hosts", "roles"],
        ),
        (
            json!({"ends": 1, "reason": "x", "hosts": ["a"]}),
            vec!["ends"],
        ),
        (
            json!({"starts": 4_000_000_000_u32, "ends": 3_999_999_999_u32, "reason": "x", "hosts": ["a"]}),
            vec!["ends"],
        ),
    ] {
        let (status, problem) = api.post("/maintenances", &body).await;
        assert_eq!(
            (status, places(&problem)),
            (StatusCode::BAD_REQUEST, at),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn overrides_survive_registrations_and_are_taken_back() {
    let served = serve(TestDatabase::new().await).await;
    let [_, load] = served.register_original().await;
    let api = &served.api;
    let path = format!("/checks/id/{load}/overrides");
    let before = api.read(&path).await;
    assert_eq!(
        before["overrides"],
        json!({"interval": null, "follow_up": null, "priority": null, "alert_threshold": null, "flap_threshold": null, "flap_window": null})
    );
    let put = async |body: Value| {
        let answer = api
            .request(Method::PUT, &path)
            .json(&body)
            .send()
            .await
            .expect("the API answers");
        let status = answer.status();
        (status, answer.json::<Value>().await.expect("JSON"))
    };
    assert_eq!(
        put(json!({"interval": 120, "priority": 2, "alert_threshold": 5})).await,
        DONE()
    );
    let of_check = async || {
        let check = api.read(&format!("/checks/id/{load}")).await["check"].clone();
        (
            check["interval"].clone(),
            check["follow_up"].clone(),
            check["priority"].clone(),
        )
    };
    assert_eq!(of_check().await, (json!(120), json!(15), json!(2)));
    // the check is where the claim looks for it
    let on_grid: bool = sqlx::query_scalar("select interval_s = 120 and phase_ms < 120000 and due_at <= now() + interval '120 s' from check_state where check_id = $1")
        .bind(load)
        .fetch_one(served.pool())
        .await
        .expect("it has a state");
    assert!(on_grid);
    served.register_original().await;
    assert_eq!(
        of_check().await,
        (json!(120), json!(15), json!(2)),
        "a registration does not undo it"
    );
    let after = api.read(&path).await;
    assert_eq!(
        (
            &after["declared"]["interval"],
            &after["effective"]["alert_threshold"]
        ),
        (&json!(15), &json!(5))
    );
    // another edit in between
    let stale = api
        .request(Method::DELETE, &path)
        .header("if-match", "\"0\"")
        .send()
        .await
        .expect("the API answers");
    assert_eq!(stale.status(), StatusCode::PRECONDITION_FAILED);
    let (status, problem) = put(json!({"interval": 0, "priority": 3, "alert_threshold": "5", "flap_threshold": 1, "flap_window": 604_801})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(
        places(&problem),
        [
            "interval",
            "priority",
            "alert_threshold",
            "flap_threshold",
            "flap_window"
        ]
    );
    assert_eq!(api.delete(&path).await, DONE());
    assert_eq!(of_check().await, (json!(15), json!(15), json!(1)));
    assert_eq!(api.read(&path).await, before);
}

#[tokio::test]
async fn an_alert_tells_its_story_and_lists_are_filtered() {
    let served = serve(TestDatabase::new().await).await;
    let [_, load] = served.register_original().await;
    served
        .execute(
            "insert into channels (name, provider, repeat_s) values ('pager', 'http', 3600);
             insert into alerts (kind, host_id, check_id, hostname, ip, check_name, priority, status, fails, out, opened_at)
                select 'check', host_id, check_id, 'web1', '127.0.0.1', name, 1, 2, 3, 'CRITICAL', to_timestamp(1000) from checks where name = 'check_load';
             insert into alerts (kind, host_id, hostname, priority, opened_at, closed_at, close_reason)
                select 'host', host_id, 'web1', 2, to_timestamp(2000), to_timestamp(3000), 'answered' from hosts;
             insert into alert_targets (alert_id, channel, why) values (1, 'pager', 'route 1');
             insert into suppressions (alert_id, reason) values (1, 'suspended');
             update check_state set suspended = true, owner = 'ann', status = 2 where check_id = (select check_id from checks where name = 'check_load');
             insert into state_changes (check_id, hostname, check_name, at, status, unreachable, hard, out, owner)
                select check_id, 'web1', name, to_timestamp(t), status, false, hard, 'run at ' || t, ''
                from checks, (values (800, 1, false), (900, 0, false), (990, 1, false), (1000, 1, true), (1200, 2, true)) as v(t, status, hard)
                where name = 'check_load';
             insert into notifications (alert_id, channel, kind, dedup_key, created_at, attempts, state, settled_at, reason)
                values (1, 'pager', 'trigger', 'web1:check_load:1', to_timestamp(1001), 1, 'refused', to_timestamp(1003), 'no such service');
             insert into attempts (notification_id, n, began_at, ended_at, latency_ms, http_status, error, may_have_arrived)
                values (1, 1, to_timestamp(1002), to_timestamp(1003), 900, 404, 'the receiver answered 404', false);
             update alert_targets set added_at = to_timestamp(1000);
             update suppressions set began_at = to_timestamp(1100);
             update alerts set closed_at = to_timestamp(3000) where alert_id = 2;",
        )
        .await;
    let ids = async |query: &str| {
        let list = served.api.read(&format!("/alerts/?{query}")).await;
        let list = list["alerts"].as_array().expect("a list").clone();
        list.iter()
            .map(|alert| alert["id"].as_str().expect("an id").to_owned())
            .collect::<Vec<_>>()
    };
    for (query, expected) in [
        ("", "1 2"),
        ("open=true", "1"),
        ("open=false", "2"),
        ("kind=host", "2"),
        ("host=web1", "1 2"),
        ("host=web2", ""),
        ("role=server", "1 2"),
        ("role=none", ""),
        ("check=check_load", "1"),
        ("status=critical", "1"),
        ("status=unreachable", "2"),
        ("status=warning", ""),
        ("owner=ann", "1"),
        ("owner=bob", ""),
        ("suppression=suspended", "1"),
        ("suppression=flood", ""),
        ("from=1500", "2"),
        ("to=1500", "1"),
        ("from=1000&to=2000", "1"),
        ("parent=1", ""),
        ("limit=1", "1"),
        ("after=1", "2"),
    ] {
        assert_eq!(ids(query).await.join(" "), expected, "{query}");
    }
    let story = served.api.read("/alerts/1").await;
    assert_eq!(
        story["alert"],
        json!({"id": "1", "kind": "check", "parent": null, "cid": load.to_string(), "hostname": "web1", "ip": "127.0.0.1", "check": "check_load",
               "priority": 1, "state": "critical", "fail_count": 3, "out": "CRITICAL", "opened": 1000, "closed": null, "close_reason": null,
               "flapping": false, "suppression": "suspended", "owner": "ann", "channels": ["pager"]})
    );
    let mut timeline = story["timeline"].as_array().expect("a list").clone();
    let waits = timeline.pop().expect("something waits");
    assert_eq!(
        (&waits["event"], &waits["channel"]),
        (&json!("waits"), &json!("pager"))
    );
    assert!(
        waits["why"]
            .as_str()
            .is_some_and(|why| why.contains("suspended")),
        "{waits}"
    );
    let event = |time: u64, channel: Value, event: &str, why: &str| json!({"time": time, "channel": channel, "event": event, "why": why});
    let (of_alert, pager) = (Value::Null, json!("pager"));
    // from when it was well: what was before that is another story
    let expected = [
        event(
            990,
            of_alert.clone(),
            "changed",
            "warning, soft: run at 990",
        ),
        event(
            1000,
            of_alert.clone(),
            "opened",
            "check check_load on web1, priority 1, critical: CRITICAL",
        ),
        event(1000, pager.clone(), "target", "route 1"),
        event(1001, pager.clone(), "owed", "trigger 1"),
        event(
            1002,
            pager.clone(),
            "attempt",
            "trigger 1, attempt 1: the receiver answered 404, HTTP 404, 900 ms",
        ),
        event(1003, pager.clone(), "refused", "trigger 1: no such service"),
        event(1100, of_alert.clone(), "suppressed", "suspended"),
        event(1200, of_alert, "changed", "critical, hard: run at 1200"),
    ];
    assert_eq!(json!(timeline), json!(expected));
    let closed = served.api.read("/alerts/2").await;
    let closed = closed["timeline"].as_array().expect("a list");
    assert!(
        closed.iter().any(|event| event["event"] == "closed"
            && event["why"] == "answered"
            && event["time"] == 3000),
        "{closed:?}"
    );
    assert_eq!(
        served.api.read("/alerts/2").await["alert"]["state"],
        "unreachable"
    );
}

#[tokio::test]
async fn samples_come_in_steps() {
    let served = serve(TestDatabase::new().await).await;
    let [_, load] = served.register_original().await;
    assert_eq!(
        served.api.read(&format!("/samples/{load}")).await["series"],
        json!([])
    );
    sqlx::query("insert into series (check_id, label, unit, raw_unit, warn) values ($1, 'load1', '', '', '5')")
        .bind(load)
        .execute(served.pool())
        .await
        .expect("a series can be added");
    served
        .execute(
            "insert into samples (series_id, at, value) select 1, date_trunc('hour', now()) - interval '1 hour' + n * interval '10 s', n from generate_series(0, 11) n;
             insert into sample_hours (series_id, hour, n, min, max, sum) values (1, date_trunc('hour', now()) - interval '3 days', 4, 1, 3, 8);
             update sample_roll_up set rolled_until = date_trunc('hour', now()) - interval '1 hour';",
        )
        .await;
    let samples = served.api.read(&format!("/samples/{load}/?step=60")).await;
    let series = &samples["series"][0];
    assert_eq!(
        (&series["label"], &series["warn"], &samples["step"]),
        (&json!("load1"), &json!("5"), &json!(60))
    );
    let points = series["points"].as_array().expect("a list");
    let seen: Vec<_> = points
        .iter()
        .map(|point| {
            (
                point["n"].clone(),
                point["min"].clone(),
                point["mean"].clone(),
                point["max"].clone(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (json!(6), json!(0.0), json!(2.5), json!(5.0)),
            (json!(6), json!(6.0), json!(8.5), json!(11.0))
        ]
    );
    // whole hours reach further back, and nothing is counted twice
    let ago = sqlx::query_scalar::<_, i64>(
        "select extract(epoch from now() - interval '5 days')::bigint",
    )
    .fetch_one(served.pool())
    .await
    .expect("a time");
    let samples = served
        .api
        .read(&format!("/samples/{load}?from={ago}&step=3600"))
        .await;
    let points = samples["series"][0]["points"]
        .as_array()
        .expect("a list")
        .clone();
    let counted: Vec<_> = points
        .iter()
        .map(|point| (point["n"].clone(), point["mean"].clone()))
        .collect();
    assert_eq!(counted, [(json!(4), json!(2.0)), (json!(12), json!(5.5))]);
    for query in [
        "from=10&to=10",
        "step=0",
        "from=0&to=1000000&step=1",
        "step=40000000",
    ] {
        assert_eq!(
            served.api.get(&format!("/samples/{load}?{query}")).await.0,
            StatusCode::BAD_REQUEST,
            "{query}"
        );
    }
}

/// However many series a check has, an answer has as many points as fit into memory.
#[tokio::test]
async fn samples_of_many_series_are_bounded_together() {
    let served = serve(TestDatabase::new().await).await;
    let [_, load] = served.register_original().await;
    sqlx::query("insert into series (check_id, label, unit, raw_unit) select $1, 'load' || i, '', '' from generate_series(1, 200) i")
        .bind(load)
        .execute(served.pool())
        .await
        .expect("series can be added");
    let path = format!("/samples/{load}?from=1000000&to=1086400");
    // 200 series leave 250 steps for each
    let (status, problem) = served.api.get(&format!("{path}&step=345")).await;
    assert_eq!(status, StatusCode::OK, "{problem}");
    let (status, problem) = served.api.get(&format!("{path}&step=344")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let said = problem.to_string();
    assert!(
        said.contains("200 series") && said.contains("label"),
        "{said}"
    );
    assert_eq!(served.api.read(&path).await["step"], json!(346));
    let one = served
        .api
        .read(&format!("{path}&step=10&label=load7"))
        .await;
    assert_eq!(one["series"].as_array().map(Vec::len), Some(1));
    assert_eq!(one["series"][0]["label"], "load7");
}

#[tokio::test]
async fn checks_and_hosts_are_filtered() {
    let served = serve(TestDatabase::new().await).await;
    for (name, role) in [("web1", "web"), ("web2", "web"), ("db1", "db")] {
        let check = json!({"args": "", "interval": 60, "follow_up": 60});
        let host = json!({"hostname": name, "ip": format!("10.0.0.{}", name.len()), "roles": [role], "checks": {"disk": check, "load": check}});
        assert_eq!(served.api.register(&host).await.0, StatusCode::OK);
    }
    served
        .execute(
            "update check_state set status = 0;
             update check_state set status = 2, owner = 'ann' where check_id = 1;
             update check_state set unreachable = true where check_id = 5;",
        )
        .await;
    for (query, expected) in [
        ("host=web1", vec![1, 2]),
        ("host=10.0.0.3", vec![5, 6]),
        ("role=web", vec![1, 2, 3, 4]),
        ("role=web&check=load", vec![2, 4]),
        ("check=disk", vec![1, 3, 5]),
        ("status=critical", vec![1]),
        ("status=ok", vec![2, 3, 4, 6]),
        ("status=unknown", vec![5]),
        ("owner=ann", vec![1]),
        ("owner=", vec![]),
        ("role=web&after=1&limit=2", vec![2, 3]),
    ] {
        let list = served.api.read(&format!("/checks?{query}")).await;
        let ids: Vec<i64> = list["checks"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|check| {
                check["id"]
                    .as_str()
                    .and_then(|id| id.parse().ok())
                    .expect("an id")
            })
            .collect();
        assert_eq!(ids, expected, "{query}");
    }
    assert_eq!(
        served.api.read("/hosts?role=db").await["hosts"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    for (q, expected) in [
        ("web", "web1,web2"),
        ("db", "db1"),
        ("10.0", "10.0.0.3,10.0.0.4"),
        ("w%", ""),
        ("w_b", ""),
        ("x", ""),
    ] {
        let found = served
            .api
            .request(Method::GET, "/findhost")
            .query(&[("q", q)])
            .send()
            .await
            .expect("the API answers");
        assert_eq!(found.text().await.expect("text"), expected, "{q}");
    }
}

/// Every route that names a host, with names as people have them.
#[tokio::test]
async fn hosts_may_be_called_anything() {
    let served = serve(TestDatabase::new().await).await;
    for name in [
        "a.b-c.example",
        "mail server",
        "100%",
        "größe-münchen",
        "日本",
        "a?b#c",
        "..x",
        "a+b&c=d",
    ] {
        let check = json!({"args": "", "interval": 60, "follow_up": 60});
        let registered = served
            .api
            .register(&json!({"hostname": name, "ip": "10.0.0.1", "checks": {name: check}}))
            .await;
        assert_eq!(registered.0, StatusCode::OK, "{name}: {}", registered.1);
        let path: String = url_path(name);
        for slash in ["", "/"] {
            assert_eq!(
                served.api.read(&format!("/hosts/{path}{slash}")).await["hostname"],
                name
            );
            assert_eq!(
                served
                    .api
                    .read(&format!("/checks/host/{path}{slash}"))
                    .await["checks"][0]["check"],
                name
            );
            assert_eq!(
                served
                    .api
                    .read(&format!("/state_log/{path}/{path}{slash}"))
                    .await,
                json!({"state_log": []})
            );
            assert_eq!(
                served.api.read(&format!("/notes/{path}{slash}")).await,
                json!({"notes": []})
            );
            assert_eq!(
                served.api.read(&format!("/hosts/{path}/pin{slash}")).await["cert_origin"],
                Value::Null
            );
        }
        assert_eq!(
            served
                .api
                .post(&format!("/notes/{path}"), &json!({"note": name}))
                .await,
            DONE()
        );
        let found = served
            .api
            .request(Method::GET, "/checks")
            .query(&[("host", name), ("check", name)])
            .send()
            .await;
        let found: Value = found.expect("the API answers").json().await.expect("JSON");
        assert_eq!(found["checks"][0]["hostname"], name);
        let user = json!({"username": name, "password": "correct horse"});
        assert_eq!(served.api.post("/user", &user).await, DONE());
        assert_eq!(
            served.api.read(&format!("/user/{path}/")).await["username"],
            name
        );
        assert_eq!(served.api.delete(&format!("/hosts/{path}/")).await, DONE());
        assert_eq!(
            served.api.get(&format!("/hosts/{path}")).await.0,
            StatusCode::NOT_FOUND
        );
    }
}

#[tokio::test]
async fn a_name_belongs_to_the_agent_that_registered_it() {
    let served = serve(TestDatabase::new().await).await;
    let of = |key: &str| json!({"hostname": "web1", "ip": "127.0.0.1", "agent_version": "1", "check_key": key, "checks": {}});
    let register = async |body: Value, token: Option<&str>| {
        let mut request = served
            .browser()
            .post(format!("{}/register", served.api.url))
            .header("x-register-key", REGISTER_KEY)
            .json(&body);
        if let Some(token) = token {
            request = request.header(AGENT_TOKEN_HEADER, token);
        }
        let answer = request.send().await.expect("the API answers");
        (answer.status(), answer.json::<Value>().await.expect("JSON"))
    };
    let has_token = async || served.api.read("/hosts/web1").await["has_token"].clone();
    // the original's agents have none, and lose nothing by it
    let original = json!({"hostname": "web1", "ip": "127.0.0.1", "checks": {}});
    let (status, answer) = register(original.clone(), None).await;
    assert_eq!((status, &answer["token"]), (StatusCode::OK, &Value::Null));
    assert_eq!(has_token().await, false);
    // ours is given one, and again if the answer was lost
    let (_, lost) = register(of("key"), None).await;
    assert!(lost["token"].is_string());
    assert_eq!(
        register(of("another key"), None).await.0,
        StatusCode::FORBIDDEN,
        "another agent is given none"
    );
    assert_eq!(
        register(original.clone(), None).await.0,
        StatusCode::FORBIDDEN
    );
    let (_, given) = register(of("key"), None).await;
    let token = given["token"].as_str().expect("a token").to_owned();
    let old = lost["token"].as_str().expect("a token");
    assert_eq!(has_token().await, false, "nobody has shown it yet");
    let (status, shown) = register(of("key"), Some(&token)).await;
    assert_eq!((status, &shown["token"]), (StatusCode::OK, &Value::Null));
    assert_eq!(has_token().await, true);
    // from now on nobody else
    for wrong in [None, Some(old), Some("guess"), Some("")] {
        let (status, problem) = register(of("key"), wrong).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{problem}");
    }
    assert_eq!(
        register(original.clone(), None).await.0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        register(of("a new key"), Some(&token)).await.0,
        StatusCode::OK,
        "the token is enough"
    );
    // a machine that was set up anew
    assert_eq!(served.api.delete("/hosts/web1/token").await, DONE());
    assert!(register(of("key 3"), None).await.1["token"].is_string());
    let (released, text) = served
        .installation
        .tool(&["hosts", "release", "web1"])
        .await;
    assert!(released, "{text}");
    assert!(register(of("key 4"), None).await.1["token"].is_string());

    let database = TestDatabase::new().await;
    let strict = Installation::new(&database).set("agents.allow_tokenless", false);
    let component = strict.start("api").await;
    let strict = component.api();
    assert_eq!(strict.register(&original).await.0, StatusCode::FORBIDDEN);
    assert_eq!(strict.register(&of("key")).await.0, StatusCode::OK);
}
