//! `stalker keys`.

use super::Scene;

#[tokio::test]
async fn keys_are_made_and_revoked() {
    let scene = Scene::new().await;
    let desk = &scene.desk;
    desk.runs("stalker keys list").await;
    let said = desk
        .runs("stalker keys create 'the dashboard' --access viewer --role simulated --for 30d")
        .await;
    let key = said.out.trim();
    assert!(key.starts_with("stk_"), "nothing but the key: {key}");
    desk.runs("stalker keys list").await;
    let with_it = |line: &str| format!("STALKER_API_KEY={key} {line}");
    let said = desk.runs_quietly(&with_it("stalker hosts list")).await;
    assert_eq!(said.code, 0, "{said:?}");
    let said = desk.runs_quietly(&with_it("stalker keys list")).await;
    assert_eq!(said.code, 3, "{said:?}");
    desk.runs("stalker keys revoke 2").await;
    desk.runs("stalker keys revoke 2 --yes").await;
    desk.runs("stalker keys revoke 1 --yes").await;
    desk.runs("stalker keys list").await;
    desk.runs("stalker keys create more --access root").await;
    desk.shows("keys_are_made_and_revoked");
}
