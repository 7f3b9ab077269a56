//! E-mail against a real SMTP server: Debian's `python3-aiosmtpd`, which `scripts/setup test` installs (RFC 5321, 3207, 4954).

use std::path::{Path, PathBuf};

use serde_json::Value;
use stalker_tests::process::{Process, command};
use stalker_tests::until::{until, until_seen};

use super::*;
use crate::notifications::{hurry, told};

const PASSWORD: &str = "password-of-the-tests";

/// The server, as it is started: `tls` is none, starttls or tls.
pub(crate) struct MailServer {
    process: Process,
    tls: &'static str,
    port: i64,
    certificate: PathBuf,
    _home: tempfile::TempDir,
}

impl MailServer {
    pub(crate) async fn start(tls: &'static str, login: &str) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])
            .expect("a certificate can be made");
        let (certificate, key) = (home.path().join("ca.pem"), home.path().join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).expect("the folder can be written");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("the folder can be written");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/providers/email/server.py");
        // Debian's own: another Python would not know the package
        let mut python = command(Path::new("/usr/bin/python3"));
        python
            .arg(script)
            .args([tls, login])
            .arg(&certificate)
            .arg(key);
        let process = Process::start("mail server", &mut python);
        let port = until("the mail server listens", PATIENCE, async || {
            lines(&process).first()?["port"].as_i64()
        })
        .await;
        Self {
            process,
            tls,
            port,
            certificate,
            _home: home,
        }
    }

    /// A channel that leads there.
    pub(crate) fn channel(
        &self,
        installation: Installation,
        name: &str,
        to: &[&str],
    ) -> Installation {
        let set = |key: &str| format!("channels.{name}.{key}");
        installation
            .set(&set("provider"), "email")
            .set(&set("host"), "localhost")
            .set(&set("port"), self.port)
            .set(&set("tls"), self.tls)
            .set(&set("ca_file"), self.certificate.display().to_string())
            .set(&set("timeout"), 2)
            .set(&set("from"), "Stalker <stalker@mail.invalid>")
            .set(&set("to"), to.to_vec())
    }

    /// The mails that it has taken.
    pub(crate) fn mails(&self) -> Vec<Value> {
        lines(&self.process).split_off(1)
    }
}

fn lines(process: &Process) -> Vec<Value> {
    let output = process.output();
    output
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// A header of a mail, unfolded.
pub(crate) fn header(mail: &Value, name: &str) -> String {
    let data = mail["data"]
        .as_str()
        .unwrap_or_default()
        .replace("\r\n ", " ");
    let prefix = format!("{name}: ");
    let line = data
        .split("\r\n")
        .find_map(|line| line.strip_prefix(&prefix));
    line.unwrap_or_default().to_owned()
}

/// Problem and recovery are one thread, over STARTTLS with a login, in text and HTML; what a host says is neither a
/// header nor HTML.
#[tokio::test]
async fn a_problem_and_its_end_are_one_thread() {
    let server = MailServer::start("starttls", "login").await;
    let stage = Stage::start(|i| {
        server
            .channel(i, "mail", &["one@mail.invalid"])
            .set("channels.mail.user", "stalker")
            .set("channels.mail.password", PASSWORD)
    })
    .await;
    stage.agent.answer(
        CHECK,
        2,
        "<b>broken</b>\rBcc: everybody@mail.invalid & more",
    );
    stage.register(&[CHECK]).await;
    told(stage.pool(), &["trigger accepted 1"]).await;
    stage.recover(CHECK);
    told(stage.pool(), &["trigger accepted 1", "resolve accepted 1"]).await;

    let mails = server.mails();
    let [problem, end] = &mails[..] else {
        panic!("two mails: {mails:#?}")
    };
    for mail in &mails {
        assert_eq!(mail["from"], "stalker@mail.invalid");
        assert_eq!(mail["to"], serde_json::json!(["one@mail.invalid"]));
        assert_eq!(
            (&mail["is_encrypted"], &mail["is_known"]),
            (&Value::Bool(true), &Value::Bool(true))
        );
        assert_eq!(header(mail, "Auto-Submitted"), "auto-generated");
        assert_eq!(header(mail, "Bcc"), "");
    }
    assert_eq!(header(problem, "Subject"), "check_a on web1 is critical");
    assert_eq!(header(end, "Subject"), "check_a on web1 is ok again");
    let id = header(problem, "Message-ID");
    assert!(id.ends_with("@mail.invalid>"), "{id}");
    assert_eq!(header(problem, "References"), "");
    assert_eq!(
        (header(end, "References"), header(end, "In-Reply-To")),
        (id.clone(), id.clone())
    );
    assert_ne!(header(end, "Message-ID"), id);
    let data = problem["data"]
        .as_str()
        .unwrap_or_default()
        .replace("=\r\n", "");
    assert!(
        data.contains("&lt;b&gt;broken&lt;/b&gt;"),
        "the HTML part: {data}"
    );
    assert!(
        data.contains("<b>broken</b> Bcc: everybody@mail.invalid & more"),
        "the text part: {data}"
    );
    let said = rows(
        stage.pool(),
        "select answer from attempts order by attempt_id",
    )
    .await;
    assert!(said[0].contains("queued as 4711"), "{said:?}");
    assert!(!stage.log().contains(PASSWORD));
}

/// Each recipient is told for itself: who is refused, or told later, is nobody else's business. What may have been told before
/// says so.
#[tokio::test]
async fn every_recipient_is_told_for_itself() {
    let server = MailServer::start("none", "open").await;
    let to = [
        "One <one@mail.invalid>",
        "once@mail.invalid",
        "refused@mail.invalid",
        "break@mail.invalid",
    ];
    let stage = Stage::start(|i| server.channel(i, "mail", &to)).await;
    stage.fail(CHECK);
    stage.register(&[CHECK]).await;
    told_on(
        &stage,
        &[
            "mail/break@mail.invalid: trigger pending 1",
            "mail/once@mail.invalid: trigger pending 1",
            "mail/one@mail.invalid: trigger accepted 1",
            "mail/refused@mail.invalid: trigger refused 1",
        ],
    )
    .await;
    hurry(stage.pool()).await;
    told_on(
        &stage,
        &[
            "mail/break@mail.invalid: trigger pending 2",
            "mail/once@mail.invalid: trigger accepted 2",
            "mail/one@mail.invalid: trigger accepted 1",
            "mail/refused@mail.invalid: trigger refused 1",
        ],
    )
    .await;
    let subjects = async || {
        let mails = server.mails();
        let mut subjects: Vec<String> = mails
            .iter()
            .map(|mail| format!("{} {}", mail["to"][0], header(mail, "Subject")))
            .collect();
        subjects.sort();
        subjects
    };
    let expected = [
        r#""break@mail.invalid" [possibly a repeat] check_a on web1 is critical"#,
        r#""break@mail.invalid" check_a on web1 is critical"#,
        r#""once@mail.invalid" check_a on web1 is critical"#,
        r#""one@mail.invalid" check_a on web1 is critical"#,
    ];
    until_seen(
        "who breaks off has read it twice",
        PATIENCE,
        subjects,
        |seen| *seen == expected,
    )
    .await;
}

/// A template of one's own puts what a host says into the subject: that is one line of one header.
#[tokio::test]
async fn a_subject_is_one_line() {
    let server = MailServer::start("none", "open").await;
    let stage = Stage::start(|i| {
        server.channel(i, "mail", &["one@mail.invalid"]).set(
            "channels.mail.subject",
            "{{ output }}\r\nX-Ours: {{ host }}",
        )
    })
    .await;
    let said = "broken\rBcc: everybody@mail.invalid \u{85}X: y\u{2028}Z: z";
    stage.agent.answer(CHECK, 2, said);
    stage.register(&[CHECK]).await;
    told(stage.pool(), &["trigger accepted 1"]).await;
    let mails = server.mails();
    let [mail] = &mails[..] else {
        panic!("one mail: {mails:#?}")
    };
    assert_eq!(mail["to"], serde_json::json!(["one@mail.invalid"]));
    for name in ["Bcc", "X", "X-Ours", "Z"] {
        assert_eq!(header(mail, name), "", "{mail:#?}");
    }
}

/// What each answer means: one channel for each, told of the same alert.
#[tokio::test]
async fn every_answer_has_its_meaning() {
    let server = MailServer::start("none", "open").await;
    let encrypted = MailServer::start("tls", "open").await;
    let known = MailServer::start("starttls", "login").await;
    let cases = [
        ("accepted", "accepted 250 may have arrived"),
        ("breaks", "pending - may have arrived"),
        ("closed", "pending - lost"),
        ("encrypted", "accepted 250 may have arrived"),
        ("hangs", "pending - may have arrived"),
        ("later", "pending 451 lost"),
        ("nonsense", "pending - may have arrived"),
        ("refused", "refused 550 lost"),
        ("stranger", "refused 535 lost"),
        ("untrusted", "pending - lost"),
        ("unencrypted", "pending - lost"),
    ];
    let stage = Stage::start(|i| {
        let i = server.channel(i, "accepted", &["one@mail.invalid"]);
        let i = server.channel(i, "breaks", &["break@mail.invalid"]);
        let i = server
            .channel(i, "closed", &["one@mail.invalid"])
            .set("channels.closed.port", 1);
        let i = encrypted.channel(i, "encrypted", &["one@mail.invalid"]);
        let i = server.channel(i, "hangs", &["hang@mail.invalid"]);
        let i = server.channel(i, "later", &["later@mail.invalid"]);
        let i = server.channel(i, "nonsense", &["nonsense@mail.invalid"]);
        let i = server.channel(i, "refused", &["refused@mail.invalid"]);
        let i = known
            .channel(i, "stranger", &["one@mail.invalid"])
            .set("channels.stranger.user", "stalker")
            .set("channels.stranger.password", "wrong-password");
        // another certificate than it shows
        let other = server.certificate.display().to_string();
        let i = known
            .channel(i, "untrusted", &["one@mail.invalid"])
            .set("channels.untrusted.ca_file", other);
        // a server that offers no encryption is not told in the clear
        server
            .channel(i, "unencrypted", &["one@mail.invalid"])
            .set("channels.unencrypted.tls", "starttls")
    })
    .await;
    stage.fail(CHECK);
    stage.register(&[CHECK]).await;
    let ended = async || {
        rows(
            stage.pool(),
            "select concat_ws(' ', split_part(n.channel, '/', 1), n.state, coalesce(a.http_status::text, '-'),
                              case when a.may_have_arrived then 'may have arrived' else 'lost' end)
             from notifications n join attempts a using (notification_id)
             where a.n = 1 and a.ended_at is not null order by 1",
        )
        .await
    };
    let seen = until_seen("all are tried", PATIENCE, ended, |seen| {
        seen.len() == cases.len()
    })
    .await;
    let mut expected: Vec<String> = cases
        .iter()
        .map(|(channel, outcome)| format!("{channel} {outcome}"))
        .collect();
    expected.sort();
    // a further attempt may have begun
    let seen: Vec<String> = seen
        .iter()
        .map(|line| line.replace(" sending ", " pending "))
        .collect();
    let mut seen = seen;
    seen.sort();
    assert_eq!(seen, expected, "{}", stage.log());
    let told: Vec<Value> = encrypted
        .mails()
        .iter()
        .map(|mail| mail["is_encrypted"].clone())
        .collect();
    assert_eq!(told, [true]);
    for secret in [PASSWORD, "wrong-password"] {
        assert!(!stage.log().contains(secret));
    }
}

#[tokio::test]
async fn bad_settings_are_refused_at_the_start() {
    let database = stalker_tests::database::TestDatabase::new().await;
    let with = |key: &str, value: toml::Value| {
        Installation::new(&database)
            .set("channels.mail.provider", "email")
            .set("channels.mail.host", "localhost")
            .set("channels.mail.from", "stalker@mail.invalid")
            .set("channels.mail.to", vec!["one@mail.invalid"])
            .set(&format!("channels.mail.{key}"), value)
    };
    for (key, value, named) in [
        ("from", "nobody".into(), "from: nobody is no mail address"),
        ("to", toml::Value::Array(Vec::new()), "to is empty"),
        (
            "to",
            vec!["a@b.invalid\r\nBcc: c@d.invalid"].into(),
            "is no mail address",
        ),
        (
            "user",
            "stalker".into(),
            "user and password belong together",
        ),
        (
            "ca_file",
            "/nowhere.pem".into(),
            "ca_file: cannot read /nowhere.pem",
        ),
        (
            "ca_file",
            "/etc/hostname".into(),
            "ca_file: /etc/hostname has no certificate",
        ),
        ("tls", "sometimes".into(), "unknown variant"),
    ] {
        let (_, said) = with(key, value).configured_tool(&["config"], &[]).await;
        assert!(said.contains(named), "{key}: {said}");
    }
    let (_, said) = with("tls", "none".into())
        .set("channels.mail.user", "stalker")
        .set("channels.mail.password", PASSWORD)
        .configured_tool(&["config"], &[])
        .await;
    assert!(said.contains("for everybody to read"), "{said}");
    assert!(!said.contains(PASSWORD), "{said}");
}
