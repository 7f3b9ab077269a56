//! What a host says is data to every receiver, and no more of it than each takes.

use super::command::Programs;
use super::*;

/// Mentions, markup, a command, an emoji, and marks that turn the direction of writing.
const HOSTILE: &str = r#"<!channel> @everyone <b>*_~ `\` "$(reboot)"; 😀 {{ host }} "#;
const TURNED: &str = "\u{202e}\u{2066}txt";

#[tokio::test]
async fn hostile_output_arrives_harmless_and_within_limits() {
    let programs = Programs::new();
    let [telegram, long_telegram] = [telegram_fake().await, telegram_fake().await];
    let [ntfy, long_ntfy] = [ntfy_fake().await, ntfy_fake().await];
    // a body that is far too long for all of them, of characters that become longer when they are written down
    let long = r#"<i>{% for i in range(9) %}{{ output }}""""""""{% endfor %}</i>"#;
    let stage = Stage::start(|mut i| {
        for (name, fake) in [("telegram", &telegram), ("long_telegram", &long_telegram)] {
            i = i
                .set(&format!("channels.{name}.provider"), "telegram")
                .set(&format!("channels.{name}.url"), fake.url())
                .set(&format!("channels.{name}.token"), "42:AA")
                .set(&format!("channels.{name}.chat_id"), name);
        }
        for (name, fake) in [("ntfy", &ntfy), ("long_ntfy", &long_ntfy)] {
            i = i
                .set(&format!("channels.{name}.provider"), "ntfy")
                .set(&format!("channels.{name}.url"), fake.url())
                .set(&format!("channels.{name}.topic"), name);
        }
        i.set("channels.command.provider", "command")
            .set(
                "channels.command.command",
                programs.write("command", "exit 0"),
            )
            .set("channels.long_telegram.body", long)
            .set("channels.long_ntfy.body", long)
            .set("channels.long_ntfy.subject", long)
    })
    .await;
    let output = format!("{HOSTILE}{TURNED}{}", "😀\"".repeat(5000));
    stage.agent.answer(CHECK, 2, &output);
    stage.register(&[CHECK]).await;
    stage.told(&["trigger accepted 1"; 5]).await;

    let told = programs.told("command", "trigger");
    let said = told.input["output"].as_str().unwrap_or_default();
    assert!(said.starts_with(&format!("{HOSTILE}{TURNED}")), "{said}");
    assert_eq!(told.environment["STALKER_OUTPUT"], said);

    let text = |fake: &Fake, field: &str| -> String {
        let heard = fake.heard();
        assert!(heard[0].body.len() <= 64 * 1024);
        heard[0].json()[field]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let escaped =
        r#"&lt;!channel&gt; @everyone &lt;b&gt;*_~ `\` &quot;$(reboot)&quot;; 😀 {{ host }} "#;
    let short = text(&telegram, "text");
    let beginning = format!("<b>check_a on web1 is critical</b>\n{escaped}{TURNED}");
    assert!(short.starts_with(&beginning), "{short}");
    let cut = text(&long_telegram, "text");
    let beginning = format!("check_a on web1 is critical\n&lt;i&gt;{escaped}");
    assert!(cut.starts_with(&beginning) && cut.ends_with('…'), "{cut}");
    let read = ["&lt;", "&gt;", "&quot;", "&amp;"]
        .iter()
        .fold(cut.clone(), |text, entity| text.replace(entity, "x"));
    assert!(!read.contains(['<', '>', '&']), "{cut}");
    let length = read.encode_utf16().count();
    assert!((4090..=4096).contains(&length), "{length}");

    let short = text(&ntfy, "message");
    assert!(short.starts_with(&format!("{HOSTILE}{TURNED}")), "{short}");
    let cut = text(&long_ntfy, "message");
    assert!(
        cut.starts_with(&format!("<i>{HOSTILE}")) && cut.ends_with('…'),
        "{cut}"
    );
    assert!((2000..=4096).contains(&cut.len()), "{}", cut.len());
    let request = long_ntfy.heard()[0].body.len();
    assert!(request <= 8192, "{request}");
    assert_eq!(text(&long_ntfy, "title").chars().count(), 200);
}

async fn telegram_fake() -> Fake {
    Fake::start(|_| Answer::Http(200, "", r#"{"ok":true}"#)).await
}

async fn ntfy_fake() -> Fake {
    Fake::start(|_| Answer::Http(200, "", r#"{"id":"sPs71M8A2T"}"#)).await
}
