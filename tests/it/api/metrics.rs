//! What Prometheus reads.

use super::*;

#[tokio::test]
async fn channels_are_measured() {
    let served = serve(TestDatabase::new().await).await;
    served
        .execute(
            r#"insert into channels (name, provider, repeat_s, disabled_at, disabled_why, retired_at) values
                   ('pager', 'http', 3600, null, null, null), (E'a"b\\c\n', 'http', 3600, now(), 'HTTP 410', null), ('old', 'http', 3600, null, null, now());
               insert into alerts (kind, host_id, hostname, priority) values ('host', 1, 'web1', 1);
               insert into notifications (alert_id, channel, kind, n, dedup_key, state, created_at, settled_at) values
                   (1, 'pager', 'repeat', 1, 'x', 'accepted', now(), to_timestamp(1000)), (1, 'pager', 'repeat', 2, 'x', 'accepted', now(), now()),
                   (1, 'pager', 'repeat', 3, 'x', 'dropped', now(), now()), (1, 'pager', 'trigger', 1, 'x', 'superseded', now(), now()),
                   (1, 'pager', 'repeat', 4, 'x', 'refused', now(), now()),
                   (1, E'a"b\\c\n', 'repeat', 1, 'x', 'accepted', now(), to_timestamp(1000));
               insert into alert_targets (alert_id, channel, why) values (1, E'a"b\\c\n', 'route 1');"#,
        )
        .await;
    let viewer = served.client_with("viewer").await;
    let answer = viewer
        .request(Method::GET, "/metrics")
        .send()
        .await
        .expect("it answers");
    assert_eq!(
        answer.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let text = answer.text().await.expect("it is text");
    let odd = r#"channel="a\"b\\c\n""#;
    for line in [
        "# TYPE stalker_notifications gauge",
        r#"stalker_notifications{channel="pager",state="pending"} 0"#,
        r#"stalker_notifications_settled_last_hour{channel="pager",state="accepted"} 1"#,
        r#"stalker_notifications_settled_last_hour{channel="pager",state="refused"} 1"#,
        r#"stalker_notifications_settled_last_hour{channel="pager",state="dropped"} 1"#,
        r#"stalker_notifications_settled_last_hour{channel="pager",state="superseded"} 1"#,
        r#"stalker_dead_letters{channel="pager"} 1"#,
        r#"stalker_channel_disabled{channel="pager"} 0"#,
        &format!("stalker_channel_disabled{{{odd}}} 1"),
        &format!("stalker_last_accepted_timestamp_seconds{{{odd}}} 1000"),
        r#"stalker_oldest_pending_seconds{channel="pager"} 0"#,
        "stalker_owed 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in:\n{text}");
    }
    assert!(!text.contains("old\""), "{text}");
    // a head comes before the values of its metric, and every line is one of the two
    let value = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        value.parse::<f64>().ok().map(|_| name.to_owned())
    };
    let mut metric = String::new();
    for line in text.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(head) => metric = head.trim_end_matches(" gauge").to_owned(),
            None if line.starts_with("# HELP ") => {}
            None => {
                let name = value(line).unwrap_or_else(|| panic!("no sample: {line}"));
                assert_eq!(name.split('{').next(), Some(metric.as_str()), "{line}");
            }
        }
    }

    served
        .execute(
            "insert into notifications (alert_id, channel, kind, n, dedup_key, created_at, is_held) values
                 (1, 'pager', 'repeat', 5, 'x', now() - interval '100 s', false), (1, 'pager', 'repeat', 6, 'x', now() - interval '900 s', true);",
        )
        .await;
    served
        .execute(
            "insert into clusters (cluster, answered_at, failing_since, error) values
                 ('east', now(), null, null), ('west', now(), null, 'HTTP 403'), ('a\"b', null, now(), 'no answer');",
        )
        .await;
    let text = served.api.read("/metrics").await;
    let text = text.as_str().expect("it is text");
    for line in [
        r#"stalker_cluster_reached{cluster="east"} 1"#,
        r#"stalker_cluster_in_order{cluster="east"} 1"#,
        r#"stalker_cluster_reached{cluster="west"} 1"#,
        r#"stalker_cluster_in_order{cluster="west"} 0"#,
        r#"stalker_cluster_reached{cluster="a\"b"} 0"#,
    ] {
        assert!(text.lines().any(|said| said == line), "{line}: {text}");
    }
    let age = text
        .lines()
        .find_map(|line| line.strip_prefix(r#"stalker_oldest_pending_seconds{channel="pager"} "#));
    let age: f64 = age.and_then(|age| age.parse().ok()).expect("an age");
    assert!(
        (100.0..900.0).contains(&age),
        "what is suppressed does not count: {age}"
    );
}

#[tokio::test]
async fn metrics_need_a_key() {
    let served = serve(TestDatabase::new().await).await;
    let without_key = served.anonymous("/metrics").await;
    assert_eq!(without_key.status(), StatusCode::UNAUTHORIZED);
}
