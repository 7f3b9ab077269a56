//! The payload of version 4 that "webhook_config" of Alertmanager's documentation describes (prometheus.io).

use super::*;
use crate::notifications::HOST;

/// Which tools take that know Alertmanager; they need not know of signatures.
#[tokio::test]
async fn alertmanagers_payload_is_as_documented() {
    let (plain, signed) = (Fake::start(|_| TAKEN).await, Fake::start(|_| TAKEN).await);
    let stage = Stage::start(|i| {
        i.set("api.public_url", "https://stalker.example/")
            .set("channels.plain.provider", "webhook")
            .set("channels.plain.url", plain.url())
            .set("channels.plain.format", "alertmanager")
            .set("channels.signed.provider", "webhook")
            .set("channels.signed.url", signed.url())
            .set("channels.signed.format", "alertmanager")
            .set("channels.signed.secret", SECRET)
    })
    .await;
    stage.fail(CHECK);
    stage.register(&[CHECK]).await;
    told_on(
        &stage,
        &["plain: trigger accepted 1", "signed: trigger accepted 1"],
    )
    .await;
    stage.recover(CHECK);
    let end = [
        "plain: trigger accepted 1, resolve accepted 1",
        "signed: trigger accepted 1, resolve accepted 1",
    ];
    told_on(&stage, &end).await;

    let [firing, resolved] = &plain.heard()[..] else {
        panic!("one trigger and one resolve: {:?}", plain.heard())
    };
    assert!(!firing.headers.contains_key("webhook-signature"));
    assert!(
        signed
            .heard()
            .iter()
            .all(|request| is_signed_with(request, SECRET))
    );
    let (firing, resolved) = (firing.json(), resolved.json());
    let alert = &firing["alerts"][0];
    let labels = json!({
        "alertname": "check_a", "instance": HOST, "job": "stalker", "kind": "check", "severity": "critical",
    });
    let annotations = json!({
        "summary": "check_a on web1 is critical",
        "description": alert["annotations"]["description"],
        "state": "critical",
        "severity": "critical",
    });
    assert_eq!(
        firing,
        json!({
            "version": "4",
            "groupKey": firing["groupKey"],
            "truncatedAlerts": 0,
            "status": "firing",
            "receiver": "plain",
            "groupLabels": {"alertname": "check_a", "instance": HOST},
            "commonLabels": labels,
            "commonAnnotations": annotations,
            "externalURL": "https://stalker.example",
            "alerts": [{
                "status": "firing",
                "labels": labels,
                "annotations": annotations,
                "startsAt": alert["startsAt"],
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "https://stalker.example/#/hosts/web1/checks/check_a",
                "fingerprint": alert["fingerprint"],
            }],
        })
    );
    let description = annotations["description"].as_str().unwrap_or_default();
    assert!(description.contains("CRITICAL - broken"), "{description}");
    let fingerprint = alert["fingerprint"].as_str().unwrap_or_default();
    assert!(
        fingerprint.len() == 16 && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{fingerprint}"
    );

    let ended = &resolved["alerts"][0];
    assert_eq!(
        (&resolved["status"], &ended["status"]),
        (&json!("resolved"), &json!("resolved"))
    );
    for name in ["labels", "startsAt", "fingerprint"] {
        assert_eq!(ended[name], alert[name], "{name}");
    }
    assert_eq!(resolved["groupKey"], firing["groupKey"]);
    let ends = ended["endsAt"].as_str().unwrap_or_default();
    assert!(
        ends >= ended["startsAt"].as_str().unwrap_or_default(),
        "{ends}"
    );
}
