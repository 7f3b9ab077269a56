//! Every write leaves a row that says who, what, before, after and from where; nobody changes it; no secret is in it.

use super::*;

/// Every operation that writes, with a body that it takes, in an order in which each succeeds. `{load}` and `{disk}` are checks.
const WRITES: [(&str, &str, &str, &str); 26] = [
    (
        "set_next_run",
        "POST",
        "/checks/id/{load}/next",
        r#"{"next": "now"}"#,
    ),
    (
        "set_suspension",
        "POST",
        "/checks/id/{load}/suspended",
        r#"{"suspended": true}"#,
    ),
    (
        "set_owner",
        "POST",
        "/checks/id/{load}/owner",
        r#"{"owner": "ann"}"#,
    ),
    ("delete_owner", "DELETE", "/checks/id/{load}/owner", ""),
    (
        "set_overrides",
        "PUT",
        "/checks/id/{load}/overrides",
        r#"{"interval": 30}"#,
    ),
    (
        "delete_overrides",
        "DELETE",
        "/checks/id/{load}/overrides",
        "",
    ),
    ("create_note", "POST", "/notes/web1", r#"{"note": "n"}"#),
    (
        "create_maintenance",
        "POST",
        "/maintenances",
        r#"{"hosts": ["a"], "lasts": 60, "reason": "r"}"#,
    ),
    (
        "update_maintenance",
        "POST",
        "/maintenances/1",
        r#"{"ends": 4000000000}"#,
    ),
    ("end_maintenance", "DELETE", "/maintenances/1", ""),
    ("test_channel", "POST", "/channels/pager/test", ""),
    ("retry_notification", "POST", "/notifications/1/retry", ""),
    (
        "create_user",
        "POST",
        "/user",
        r#"{"username": "bob", "password": "bob's password"}"#,
    ),
    (
        "update_user",
        "POST",
        "/user/bob",
        r#"{"password": "another password", "role": "operator"}"#,
    ),
    ("delete_user", "DELETE", "/user/bob", ""),
    (
        "create_key",
        "POST",
        "/keys",
        r#"{"name": "k", "access": "viewer"}"#,
    ),
    ("revoke_key", "DELETE", "/keys/2", ""),
    ("reset_pin", "DELETE", "/hosts/web1/pin", ""),
    ("release_host", "DELETE", "/hosts/web1/token", ""),
    ("delete_check", "DELETE", "/checks/id/{disk}", ""),
    ("delete_host", "DELETE", "/hosts/web1", ""),
    ("post_registration", "POST", "/register", ""),
    ("put_registration", "PUT", "/register", ""),
    ("sign_in", "POST", "/signin", ""),
    ("end_session", "DELETE", "/sessions/{session}", ""),
    ("sign_out", "POST", "/signout", ""),
];

#[tokio::test]
async fn every_write_is_audited_and_only_once() {
    let served = serve(TestDatabase::new().await).await;
    let [disk, load] = served.register_original().await;
    served
        .execute(
            "insert into channels (name, provider, repeat_s) values ('pager', 'http', 3600);
             insert into alerts (kind, host_id, hostname, priority) values ('host', 77, 'web7', 1);
             insert into notifications (alert_id, channel, kind, dedup_key, state, settled_at) values (1, 'pager', 'trigger', 'a', 'refused', now());
             insert into replicas (replica_id, component, hostname, version) values (1, 'worker', 'w', '1');",
        )
        .await;
    let unsafe_operations: Vec<String> = operations(&served)
        .await
        .into_iter()
        .filter(|(method, _, _)| *method != Method::GET)
        .map(|(_, _, id)| id)
        .collect();
    // what is done elsewhere is of another kind, and shown by `clusters::acts`
    for id in unsafe_operations
        .iter()
        .filter(|id| !id.contains("_cluster_"))
    {
        assert!(
            WRITES.iter().any(|(known, ..)| known == id),
            "{id} writes, and is not tried here"
        );
    }
    let adam = served.person("adam", "admin").await;
    let rows = async || {
        let audit = served.api.read("/audit/").await;
        audit["audit"].as_array().expect("a list").clone()
    };
    for (id, method, path, body) in WRITES {
        if id.ends_with("registration") || id == "sign_in" {
            continue;
        }
        let before = rows().await.len();
        let sessions = served
            .as_person(&adam, Method::GET, "/sessions")
            .send()
            .await
            .expect("the API answers");
        let sessions: Value = sessions.json().await.expect("JSON");
        let other = match id {
            "end_session" => {
                served
                    .sign_in("adam", "password of adam")
                    .await
                    .expect("the password");
                let listed = served
                    .as_person(&adam, Method::GET, "/sessions")
                    .send()
                    .await
                    .expect("the API answers");
                listed.json::<Value>().await.expect("JSON")["sessions"][0]["id"].clone()
            }
            _ => sessions["sessions"][0]["id"].clone(),
        };
        let before = if id == "end_session" {
            before + 1
        } else {
            before
        };
        let path = path
            .replace("{load}", &load.to_string())
            .replace("{disk}", &disk.to_string())
            .replace("{session}", other.as_str().unwrap_or_default());
        let method: Method = method.parse().expect("a method");
        let mut request = served.as_person(&adam, method, &path);
        if id == "test_channel" {
            // nobody sends it, and nobody waits for that
            request = request.timeout(std::time::Duration::from_secs(1));
        }
        if !body.is_empty() {
            request = request.json(&serde_json::from_str::<Value>(body).expect("it is JSON"));
        }
        match request.send().await {
            Ok(answer) => assert!(
                answer.status().is_success() || answer.status() == StatusCode::SEE_OTHER,
                "{id}: {}",
                answer.status()
            ),
            Err(_) => assert_eq!(id, "test_channel"),
        }
        let after = rows().await;
        assert_eq!(after.len(), before + 1, "{id}");
        let row = after.last().expect("there is one");
        assert_eq!(
            (
                &row["action"],
                &row["actor_kind"],
                &row["actor"],
                &row["address"]
            ),
            (
                &json!(id),
                &json!("user"),
                &json!("adam"),
                &json!("127.0.0.1")
            ),
            "{row}"
        );
        let is_creation = id.starts_with("create_");
        let is_deletion =
            id.starts_with("delete_") && !["delete_owner", "delete_overrides"].contains(&id);
        if is_creation || is_deletion {
            assert_eq!(
                (row["before"].is_null(), row["after"].is_null()),
                (is_creation, is_deletion),
                "{row}"
            );
        }
    }
    let all = rows().await;
    let actions: Vec<&str> = all
        .iter()
        .filter_map(|row| row["action"].as_str())
        .collect();
    assert!(
        actions.contains(&"register") && actions.contains(&"sign_in"),
        "{actions:?}"
    );
    for secret in [
        "bob's password",
        "another password",
        "argon2",
        "stk_",
        "password of adam",
    ] {
        assert!(
            !json!(all).to_string().contains(secret),
            "{secret} is in the audit"
        );
    }
    // what an agent declares anew is seen, and by which key it could
    let changed = json!({"hostname": "web1", "ip": "127.0.0.2", "roles": ["db"], "checks": {"check_load": {"args": "-w 9", "interval": 60, "follow_up": 15}}});
    served.register_original().await;
    assert_eq!(served.api.register(&changed).await.0, StatusCode::OK);
    let row = rows().await.pop().expect("there is one");
    let definition = |args: &str, interval: u64, cmd: Value| {
        json!({
            "cmd": cmd, "args": args, "interval": interval, "follow_up": 15, "priority": 1, "timeout": null, "alert_threshold": null,
            "flap_threshold": null, "flap_window": null,
        })
    };
    let original = original();
    let cmd = |check: &str| original["checks"][check]["cmd"].clone();
    assert_eq!(
        (
            &row["action"],
            &row["actor"],
            &row["actor_kind"],
            &row["address"]
        ),
        (
            &json!("register"),
            &json!("web1"),
            &json!("agent"),
            &json!("127.0.0.1")
        )
    );
    assert_eq!(
        row["after"],
        json!({"ip": "127.0.0.2", "roles": ["db"], "register_key": "configuration", "check check_load": definition("-w 9", 60, Value::Null)})
    );
    let was = &row["before"];
    assert_eq!(
        (&was["ip"], &was["roles"]),
        (&json!("127.0.0.1"), &json!(["server"]))
    );
    assert_eq!(
        was["check check_load"],
        definition("-w 1,5,10 -c 2,10,15", 15, cmd("check_load"))
    );
    assert_eq!(was["check check_disk"]["cmd"], cmd("check_disk"));
    // a registration that changes nothing is no news
    served.register_original().await;
    let before = rows().await.len();
    served.register_original().await;
    assert_eq!(rows().await.len(), before);

    for (query, n) in [
        ("action=set_owner", 1),
        ("actor=nobody", 0),
        ("subject=user%20bob", 3),
        ("from=4000000000", 0),
        ("to=4000000000&limit=2", 2),
    ] {
        let found = served.api.read(&format!("/audit?{query}")).await;
        assert_eq!(found["audit"].as_array().map(Vec::len), Some(n), "{query}");
    }
}

#[tokio::test]
async fn the_audit_is_append_only() {
    let served = serve(TestDatabase::new().await).await;
    served.register_original().await;
    for sql in [
        "update audit set actor = 'nobody'",
        "delete from audit",
        "truncate audit",
    ] {
        let refused = sqlx::raw_sql(sql)
            .execute(served.pool())
            .await
            .expect_err(sql)
            .to_string();
        assert!(refused.contains("append-only"), "{sql}: {refused}");
    }
    // by its rights, an ordinary role that owns everything, as a server's should be, may not even try
    let may: Vec<String> = sqlx::query_scalar(
        "select privilege_type from information_schema.role_table_grants where table_name = 'audit' and privilege_type in ('UPDATE', 'DELETE', 'TRUNCATE')",
    )
    .fetch_all(served.pool())
    .await
    .expect("rights can be read");
    assert!(may.is_empty(), "{may:?}");
    // such a role, and not one whom nobody asks
    served
        .execute("drop role if exists stalker_of_this_test; create role stalker_of_this_test")
        .await;
    let mut conn = served.pool().acquire().await.expect("the database answers");
    for sql in [
        "alter table audit owner to stalker_of_this_test",
        "set role stalker_of_this_test",
    ] {
        sqlx::query(sql).execute(&mut *conn).await.expect(sql);
    }
    let inserted = sqlx::query("insert into audit (actor_kind, actor, address, action, subject) values ('key', 'a', '', 'a', 'a')")
        .execute(&mut *conn)
        .await;
    assert!(inserted.is_ok(), "{inserted:?}");
    let refused = sqlx::query("delete from audit").execute(&mut *conn).await;
    let refused = refused.expect_err("it may not").to_string();
    assert!(refused.contains("permission denied"), "{refused}");
    drop(conn.detach());
    served
        .execute("alter table audit owner to current_user; drop role stalker_of_this_test")
        .await;
}

#[tokio::test]
async fn commands_are_audited_too() {
    let served = serve(TestDatabase::new().await).await;
    let tool = async |arguments: &[&str]| {
        let (succeeded, said) = served.installation.tool(arguments).await;
        assert!(succeeded, "{arguments:?}: {said}");
        said
    };
    let said = tool(&["user", "add", "ann", "--access", "operator"]).await;
    let password = said
        .lines()
        .find_map(|line| line.strip_prefix("password: "))
        .expect("a password");
    assert!(served.sign_in("ann", password).await.is_some());
    assert!(tool(&["user", "list"]).await.contains("ann\toperator"));
    let said = tool(&["user", "passwd", "ann"]).await;
    assert!(served.sign_in("ann", password).await.is_none(), "{said}");
    let key = tool(&["key", "create", "grafana", "--role", "web", "--for", "1d"]).await;
    let api = Api::new(&served.api.url, key.trim(), REGISTER_KEY);
    assert_eq!(api.get("/checks").await.0, StatusCode::OK);
    let listed = tool(&["key", "list"]).await;
    assert!(
        listed.contains("grafana\tviewer\tweb\t") && !listed.contains(key.trim()),
        "{listed}"
    );
    tool(&["key", "revoke", "2"]).await;
    assert_eq!(api.get("/checks").await.0, StatusCode::FORBIDDEN);
    tool(&["user", "delete", "ann"]).await;
    served.register_original().await;
    served
        .run("update hosts set cert_sha256 = repeat('a', 64), cert_origin = 'first_seen'")
        .await;
    assert!(
        tool(&["hosts", "list"])
            .await
            .contains("web1\t127.0.0.1:5050\tno\tfirst_seen\ta")
    );
    tool(&["hosts", "unpin", "web1"]).await;
    tool(&["hosts", "release", "web1"]).await;
    tool(&[
        "maintenance",
        "add",
        "--host",
        "web*",
        "--for",
        "1h",
        "--reason",
        "disks",
    ])
    .await;
    tool(&["maintenance", "end", "1"]).await;
    tool(&["routes", "reapply"]).await;
    let audit = served.api.read("/audit").await;
    let machine = nix::unistd::gethostname().expect("this machine has a name");
    let rows: Vec<_> = audit["audit"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|row| row["actor_kind"] == "command" && row["actor"] != "configuration")
        .inspect(|row| assert_eq!(row["address"], json!(machine.to_str()), "{row}"))
        .map(|row| {
            let (before, after) = (row["before"].to_string(), row["after"].to_string());
            let action = row["action"].as_str().unwrap_or_default().to_owned();
            (action, before, after)
        })
        .collect();
    // of each a part of what was before and after
    for ((action, before, after), (expected, was, is)) in rows.iter().zip([
        ("user add", "null", r#""role":"operator""#),
        ("user passwd", "null", "changed"),
        ("key create", "null", r#""scope":["web"]"#),
        ("key revoke", "grafana", "null"),
        ("user delete", r#""username":"ann""#, "null"),
        ("hosts unpin", "first_seen", "null"),
        ("hosts release", r#"{"token":false}"#, "null"),
        ("maintenance add", "null", r#""hosts":["web*"]"#),
        ("maintenance end", "null", r#""over":true"#),
        ("routes reapply", "null", "added"),
    ]) {
        assert_eq!(action, expected);
        assert!(
            before.contains(was) && after.contains(is),
            "{action}: {before} -> {after}"
        );
    }
    assert_eq!(rows.len(), 10, "{rows:?}");
    for arguments in [
        &["user", "add", "me"][..],
        &["user", "delete", "nobody"],
        &["user", "passwd", "nobody"],
        &["key", "revoke", "99"],
        &["key", "create", "a", "--access", "admin", "--role", "web"],
        &["hosts", "release", "nobody"],
        &["key", "create", "a", "--for", "0s"],
        &["key", "create", "a", "--for", "100000000000d"],
    ] {
        assert!(
            !served.installation.tool(arguments).await.0,
            "{arguments:?}"
        );
    }
}
