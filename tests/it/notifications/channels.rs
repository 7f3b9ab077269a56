//! Channels and notifications through the API, with everything running: what is told of them, and tests of them.

use stalker_db::replicas::has_worker;
use stalker_tests::receiver::Receiver;

use super::*;

#[tokio::test]
async fn a_channel_is_tested_and_how_it_does_is_shown_without_its_secrets() {
    let receiver = Receiver::start().await;
    let url = format!("{}path-that-is-a-secret", receiver.url());
    let stage = Stage::start(|i| i.channel("pager", &url)).await;
    let worker = async || has_worker(stage.pool()).await.expect("it can be asked");
    until_seen("its worker runs", PATIENCE, worker, |runs| *runs).await;
    let test = async |api: &Api| {
        let (status, body) = api.post("/channels/pager/test", &json!({})).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        (body["accepted"].clone(), body["status_code"].clone())
    };
    assert_eq!(test(&stage.api).await, (json!(true), json!(200)));
    // what a test opens there it closes
    let told = receiver.received();
    assert_eq!(
        told.iter()
            .map(|r| r.text("event_type"))
            .collect::<Vec<_>>(),
        ["trigger", "resolve"]
    );
    receiver.answer_next([400]);
    assert_eq!(test(&stage.api).await, (json!(false), json!(400)));
    // what may have arrived is closed as well, however often that has to be said
    receiver.answer_next([500, 503]);
    assert_eq!(test(&stage.api).await, (json!(false), json!(500)));
    let told = receiver.received();
    let told: Vec<_> = told[3..]
        .iter()
        .map(|r| (r.text("event_type"), r.answer))
        .collect();
    assert_eq!(told, [("trigger", 500), ("resolve", 503), ("resolve", 200)]);

    stage.fail("check_a");
    stage.register(&["check_a"]).await;
    stage.told(&["trigger accepted 1"]).await;
    let listed = stage
        .api
        .read("/notifications?channel=pager&state=accepted")
        .await;
    let listed = &listed["notifications"][0];
    assert_eq!(
        (
            &listed["kind"],
            &listed["attempts"][0]["status_code"],
            &listed["reason"]
        ),
        (&json!("trigger"), &json!(200), &json!(null))
    );
    // nor do the tables or the log have them
    let mut said = stage.log();
    for path in [
        "/channels",
        "/channels/routes",
        "/notifications",
        "/metrics",
        "/stats",
    ] {
        said.push_str(&stage.api.read(path).await.to_string());
    }
    for secret in ["service-key-of-pager", "path-that-is-a-secret"] {
        assert!(!said.contains(secret), "{secret} is in {said}");
    }
    assert!(
        said.contains(receiver.url().trim_end_matches('/')),
        "{said}"
    );
    stage.recover("check_a");
    stage
        .told(&["trigger accepted 1", "resolve accepted 1"])
        .await;
}

/// A dead letter is tried again by the API, and arrives.
#[tokio::test]
async fn a_dead_letter_is_tried_again_by_the_api() {
    let receiver = Receiver::start().await;
    receiver.answer_next([400]);
    let stage = Stage::start(|i| i.channel("pager", receiver.url())).await;
    stage.fail("check_a");
    stage.register(&["check_a"]).await;
    stage.told(&["trigger refused 1"]).await;
    let listed = stage.api.read("/notifications?state=refused").await;
    let id = listed["notifications"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let path = format!("/notifications/{id}/retry");
    let (status, body) = stage.api.post(&path, &json!({})).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    stage.told(&["trigger accepted 2"]).await;
    let (status, body) = stage.api.post(&path, &json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT, "{body}");
}
