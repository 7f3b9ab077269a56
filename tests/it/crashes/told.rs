//! What the pager was told, held against the alerts.

use std::collections::BTreeSet;

use sqlx::PgPool;
use stalker_tests::receiver::Receiver;

/// Every alert has one trigger and one resolve with one key of its own; each reached the receiver, in this order, and
/// no more often than once and once for each sender that died with it. Returns how many came more than once.
pub(super) async fn each_was_told(pool: &PgPool, receiver: &Receiver) -> usize {
    let sql = "
        select n.dedup_key, string_agg(n.kind, ' ' order by n.notification_id), bool_and(n.state = 'accepted')
        from alerts a left join notifications n using (alert_id)
        group by a.alert_id, n.dedup_key";
    let alerts: Vec<(Option<String>, Option<String>, Option<bool>)> = sqlx::query_as(sql)
        .fetch_all(pool)
        .await
        .expect("the database answers");
    let accepted = receiver.accepted();
    let mut keys = BTreeSet::new();
    let mut twice = 0;
    for (key, kinds, is_accepted) in &alerts {
        let key = key.as_deref().expect("every alert has notifications");
        assert!(keys.insert(key), "{key} is the key of two alerts");
        assert_eq!(kinds.as_deref(), Some("trigger resolve"), "of {key}");
        assert_eq!(*is_accepted, Some(true), "of {key}");

        let told: Vec<&str> = accepted
            .iter()
            .filter(|message| message.text("incident_key") == key)
            .map(|message| message.text("event_type"))
            .collect();
        let (triggers, resolves) =
            told.split_at(told.iter().take_while(|kind| **kind == "trigger").count());
        assert!(
            resolves.iter().all(|kind| *kind == "resolve"),
            "{key}: {told:?}"
        );
        for (kind, times) in [("trigger", triggers.len()), ("resolve", resolves.len())] {
            let dead = dead_senders(pool, key, kind).await;
            assert!(
                times >= 1 && times <= 1 + dead,
                "{key} with {dead} dead senders of its {kind}: {told:?}"
            );
            twice += usize::from(times > 1);
        }
    }
    let foreign = accepted
        .iter()
        .find(|message| !keys.contains(message.text("incident_key")));
    assert!(foreign.is_none(), "of no alert: {foreign:?}");
    twice
}

async fn dead_senders(pool: &PgPool, key: &str, kind: &str) -> usize {
    let sql = "
        select count(*) from attempts a join notifications n using (notification_id)
        where n.dedup_key = $1 and n.kind = $2 and a.error = 'its sender died'";
    let dead: i64 = sqlx::query_scalar(sql)
        .bind(key)
        .bind(kind)
        .fetch_one(pool)
        .await
        .expect("the database answers");
    usize::try_from(dead).expect("a count is not negative")
}
