//! `stalker users` and `stalker sessions`.

use super::Scene;

#[tokio::test]
async fn users_are_added_changed_and_deleted() {
    let scene = Scene::new().await;
    let desk = &scene.desk;
    desk.runs("stalker users list").await;
    desk.runs("stalker users create ben --role operator --password-stdin <<<'a password of ben'")
        .await;
    desk.runs("stalker users create ben --password-stdin <<<'a password of ben'")
        .await;
    desk.runs("stalker users create carl --password-stdin <<<short")
        .await;
    desk.runs("stalker users create carl").await;
    desk.runs("stalker users change ben --email ben@example.net --role operator")
        .await;
    desk.runs("stalker users change ben").await;
    desk.runs("stalker users show ben").await;
    desk.runs("stalker users show").await;
    desk.runs("stalker users list").await;
    desk.runs("stalker users passwd ben --password-stdin <<<'another one of ben'")
        .await;
    desk.runs("stalker users delete ben").await;
    desk.runs("stalker users delete ben --yes").await;
    desk.runs("stalker users show ben").await;
    desk.shows("users_are_added_changed_and_deleted");
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let scene = Scene::new().await;
    let desk = &scene.desk;
    desk.runs_quietly(
        "stalker users create ben --role operator --password-stdin <<<'a password of ben'",
    )
    .await;
    let url = &scene.api.url;
    let of_ben = super::Desk::new();
    let login = format!("stalker login {url} --user ben --password-stdin <<<'a password of ben'");
    of_ben.runs(&format!("{login} --name first")).await;
    of_ben.runs(&format!("{login} --name second")).await;
    of_ben.runs("stalker users show").await;
    of_ben.runs("stalker sessions list --context first").await;
    let said = of_ben
        .runs_quietly("stalker sessions list --output json --context first")
        .await;
    let document: serde_json::Value = serde_json::from_str(&said.out).expect("it is JSON");
    let sessions = document["sessions"].as_array().expect("a list");
    assert_eq!(sessions.len(), 2);
    let second = sessions
        .iter()
        .find(|session| session["current"] == false)
        .expect("the other one");
    let id = second["id"].as_str().expect("an id");
    let said = of_ben
        .runs(&format!("stalker sessions end {id} --context first"))
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    of_ben.runs("stalker checks list").await;
    of_ben
        .runs("stalker checks own web1:check_load --context first")
        .await;
    assert_eq!(scene.check("web1", "check_load").await["owner"], "ben");
    of_ben
        .runs("stalker sessions end 999999 --context first")
        .await;
    of_ben.shows("sessions_are_listed_and_ended");
}
