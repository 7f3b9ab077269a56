//! No secret is ever shown. Each setting holds a text that stands nowhere else, a canary; everything happens that makes
//! processes talk; then everything that was said, answered, logged or written down is searched for every canary.

mod access;
mod settings;

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::json;
use settings::{Channel, PROVIDERS, Way};
use sqlx::{AssertSqlSafe, PgPool};
use stalker_tests::agent::Agent;
use stalker_tests::database::TestDatabase;
use stalker_tests::server::{API_KEY, CHECK_KEY, Installation, REGISTER_KEY};
use stalker_tests::until::until_seen;
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(60);
/// What the receiver says to the first messages of a channel, each time with all that it was sent: worth another try,
/// worth another try later, no in a 200, no for good.
const ANSWERS: [u16; 4] = [500, 429, 200, 400];
/// Of a canary, what was cut off may show so many of its letters.
const SHOWN_AT_MOST: usize = 12;

/// Something that somebody may read, and where it comes from.
type Text = (String, String);

/// Every secret of every provider, set in the file, by the environment, and in a file of its own.
#[tokio::test]
async fn no_secret_is_shown() {
    let receiver = Echo::start().await;
    let database = TestDatabase::new().await;
    let mut channels: Vec<Channel> = Vec::new();
    for (provider, _) in PROVIDERS {
        for way in [Way::Plain, Way::Environment, Way::File] {
            channels.push(Channel::new(provider, way, &receiver.url));
        }
        // nobody listens there
        channels.push(Channel::new(provider, Way::Refused, "http://127.0.0.1:1"));
    }
    let mut installation = Installation::new(&database)
        .set("alerts.alert_threshold", 1)
        .set("api.cluster_id", "here")
        .set("log.level", "trace");
    let mut environment: Vec<(String, String)> = Vec::new();
    for channel in &channels {
        installation = channel.configure(installation, &mut environment);
    }
    let clusters = [Way::Plain, Way::Environment, Way::File]
        .map(|way| settings::Cluster::new(way, &receiver.url));
    for cluster in &clusters {
        installation = cluster.configure(installation, &mut environment);
    }
    let environment: Vec<(&str, &str)> = environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let mut canaries: Vec<String> = channels
        .iter()
        .flat_map(|channel| channel.canaries.clone())
        .collect();
    // not the check key: workers show it to agents, who registered it or know it
    canaries.extend([API_KEY, REGISTER_KEY].map(str::to_owned));
    canaries.extend(clusters.iter().map(|cluster| cluster.key.clone()));

    let agent = Agent::start(CHECK_KEY).await;
    agent.answer("check_a", 2, "CRITICAL - broken");
    let mut all = installation.start_with("all", &environment).await;
    let api = all.api();
    api.register_simulated(&agent, "web1", &["check_a"], 1)
        .await;
    let pool = database.pool();
    let heard: Vec<&str> = channels
        .iter()
        .filter(|channel| channel.is_heard())
        .map(|channel| channel.name.as_str())
        .collect();
    tried(pool, "trigger", &heard).await;
    let (_, listed) = installation
        .configured_tool(&["notifications", "list"], &environment)
        .await;
    agent.answer("check_a", 0, "OK - mended");
    tried(pool, "resolve", &heard).await;
    let tests = channels.iter().map(async |channel| {
        let path = format!("/channels/{}/test", channel.name);
        api.post(&path, &json!({})).await
    });
    futures::future::join_all(tests).await;

    for (path, body) in [
        ("/user", json!({"username": "ann", "password": "12345678"})),
        (
            "/maintenances",
            json!({"hosts": ["db"], "lasts": 60, "reason": "new disks"}),
        ),
    ] {
        assert_eq!(api.post(path, &body).await.0, StatusCode::OK);
    }

    let mut texts: Vec<Text> = vec![("notifications list".to_owned(), listed)];
    for arguments in [
        &["config"][..],
        &["doctor"],
        &["notifications", "list"],
        &["notifications", "retry"],
        &["alerts"],
        &["hosts", "list"],
        &["routes", "reapply"],
        &["routes", "test", "--host", "web1", "--check", "check_a"],
        &["maintenance", "list"],
    ] {
        let (_, said) = installation.configured_tool(arguments, &environment).await;
        texts.push((arguments.join(" "), said));
    }
    texts.extend(answers(&api, pool).await);
    // what another cluster says, who says all that it was told
    for cluster in &clusters {
        let id = &cluster.id;
        for path in [
            format!("/global/{id}/checks/state/alerting"),
            format!("/global/{id}/checks/id/7"),
            format!("/stats/{id}"),
        ] {
            // each of its answers
            for _ in ANSWERS {
                let (status, body) = api.get(&path).await;
                texts.push((format!("GET {path}"), format!("{status} {body}")));
            }
        }
        let path = format!("/global/{id}/checks/id/7/next");
        for _ in ANSWERS {
            let (status, body) = api.post(&path, &json!({"next": "now"})).await;
            texts.push((format!("POST {path}"), format!("{status} {body}")));
        }
    }
    let (_, known) = api.get("/global/clusters").await;
    texts.push(("GET /global/clusters".to_owned(), known.to_string()));
    texts.extend(tables(pool).await);
    all.process.terminate(PATIENCE).await;
    texts.push(("the log".to_owned(), all.process.output()));

    // else it would show nothing
    let (_, config) = &texts[1];
    assert!(config.contains("(hidden)"), "{config}");
    let said = receiver.heard();
    let keys = clusters.iter().map(|cluster| &cluster.key);
    for canary in channels
        .iter()
        .flat_map(|channel| &channel.sent)
        .chain(keys)
    {
        assert!(
            forms(canary).iter().any(|form| said.contains(form)),
            "{canary} was never sent"
        );
    }
    assert!(
        texts
            .iter()
            .any(|(of, text)| of == "table attempts" && text.contains("(hidden)")),
        "the receiver's echo was not kept"
    );
    are_silent(&texts, &canaries);
}

/// What cannot be started or used says why, and nothing of what is secret in it.
#[tokio::test]
async fn no_secret_is_shown_in_what_is_wrong() {
    let canary = settings::canary("wrong");
    let digits = "81726354918273645";
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let good = format!("[channels.x]\nprovider = 'http'\nurl = 'http://127.0.0.1:1/{canary}'\n");
    let database = |url: &str| format!("database.url = '{url}'");
    let mut texts = Vec::new();
    for (n, (tool, text)) in [
        ("config", good.clone() + "body = '{{ nothing'"),
        (
            "config",
            good.clone() + &format!("body = '{{{{ nothing }}}}'\nservice_key = '{canary}'"),
        ),
        (
            "config",
            good.clone() + &format!("service_key = ['{canary}']"),
        ),
        (
            "config",
            good.clone() + &format!("service_key = {{ a = '{canary}' }}"),
        ),
        ("config", good.clone() + &format!("service_key = {digits}")),
        (
            "config",
            good.clone() + &format!("previous_keys = '{canary}'"),
        ),
        (
            "config",
            good.clone() + &format!("service_key = \"{canary}"),
        ),
        (
            "config",
            good.clone() + &format!("service_key = '{canary}'\nservice_key = '{canary}'"),
        ),
        (
            "config",
            good.clone() + &format!("service_keyy = '{canary}'"),
        ),
        ("config", good.replace("http://", "ftp://")),
        ("config", good.replace("http://127.0.0.1:1/", "")),
        ("config", good.replace("http://127.0.0.1:1/", "http://[")),
        ("config", good.replace("url =", "url = 1 #")),
        ("config", format!("api.api_key = ['{canary}']")),
        ("config", format!("api.api_key = {digits}")),
        (
            "config",
            format!("[clusters.x]\nhost = 'http://h'\nkey = ['{canary}']"),
        ),
        (
            "config",
            format!("[clusters.x]\nhost = 'http://u:{canary}@h'\nkey = 'k'"),
        ),
        (
            "config",
            format!("[clusters.x]\nhost = 'http://h'\nkey = \"{canary}\\n\""),
        ),
        ("config", format!("database.url = ['{canary}']")),
        (
            "doctor",
            database(&format!("postgres://u:{canary}@127.0.0.1:1/x")),
        ),
        ("doctor", database(&format!("postgres://u:{canary}@[/x"))),
        (
            "doctor",
            database(&format!("postgres://u@127.0.0.1:1/x?password={canary}")),
        ),
        ("doctor", database(&canary)),
    ]
    .into_iter()
    .enumerate()
    {
        let file = folder.path().join(format!("{n}.toml"));
        fs::write(&file, &text).expect("a file can be written");
        let (succeeded, said) = settings::stalkerd(tool, &file, &[]).await;
        assert!(
            !succeeded && !said.is_empty(),
            "{text} is not refused: {said}"
        );
        texts.push((text, said));
    }
    let empty = folder.path().join("empty.toml");
    fs::write(&empty, good).expect("a file can be written");
    for (name, value) in [
        ("STALKER__CHANNELS__X__PREVIOUS_KEYS", canary.as_str()),
        ("STALKER__API__LISTEN", canary.as_str()),
        ("STALKER__CHANNELS__X__SERVICE_KEY_FILE", "/nowhere"),
    ] {
        let (succeeded, said) = settings::stalkerd("config", &empty, &[(name, value)]).await;
        assert!(!succeeded, "{name} is not refused: {said}");
        texts.push((name.to_owned(), said));
    }
    are_silent(&texts, &[canary, digits.to_owned()]);
}

/// Whoever adds a provider, or a setting, must say here what of it is secret.
#[tokio::test]
async fn all_settings_of_all_providers_are_known_here() {
    let known: BTreeMap<&str, Vec<&str>> = PROVIDERS
        .iter()
        .map(|(provider, settings)| (*provider, settings.iter().map(|(name, _)| *name).collect()))
        .collect();
    let providers = settings::expected_instead_of("provider = 'nothing'").await;
    let names: Vec<&str> = known.keys().copied().collect();
    assert_eq!(sorted(&providers), sorted(&names), "providers");
    for (provider, settings) in known {
        let text = format!("provider = '{provider}'\nno_setting = 1");
        let expected = settings::expected_instead_of(&text).await;
        assert_eq!(
            sorted(&expected),
            sorted(&settings),
            "settings of {provider}"
        );
    }
}

fn sorted<T: AsRef<str>>(names: &[T]) -> Vec<&str> {
    let mut names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    names.sort_unstable();
    names
}

/// Waits until a message of this kind to each of these has come to its end, tries being made at once.
async fn tried(pool: &PgPool, kind: &str, channels: &[&str]) {
    let left = async || -> Vec<String> {
        // the others would say the same for ever
        sqlx::query(
            "update notifications set next_attempt_at = now()
             where state = 'pending' and channel in (select name from channels where coalesce(part_of, name) = any ($1))",
        )
        .bind(channels)
        .execute(pool)
        .await
        .expect("notifications can be hurried");
        let ended: Vec<String> = sqlx::query_scalar(
            "select coalesce(c.part_of, c.name) from notifications n join channels c on c.name = n.channel
             where n.kind = $1 and n.state not in ('pending', 'sending')",
        )
        .bind(kind)
        .fetch_all(pool)
        .await
        .expect("notifications can be read");
        let left = channels
            .iter()
            .filter(|name| !ended.iter().any(|ended| ended == *name));
        left.map(|name| (*name).to_owned()).collect()
    };
    let what = format!("each {kind} is at its end");
    until_seen(&what, PATIENCE, left, Vec::is_empty).await;
}

/// What the API says to every GET that it describes. Each is answered: what is refused shows nothing.
async fn answers(api: &stalker_tests::api::Api, pool: &PgPool) -> Vec<Text> {
    let ids = "select (select min(check_id) from checks), (select min(alert_id) from alerts), (select min(maintenance_id) from maintenances),
                      (select min(username) from users)";
    let (check, alert, maintenance, user): (i64, i64, i64, String) = sqlx::query_as(ids)
        .fetch_one(pool)
        .await
        .expect("one of each is there");
    let document = api.read("/openapi.json").await;
    let mut texts = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        if methods["get"].is_null() {
            continue;
        }
        let id = match path.split('/').nth(1) {
            Some("alerts") => alert,
            Some("maintenances") => maintenance,
            _ => check,
        };
        let asked = [
            ("{id}", id.to_string()),
            ("{host}", "web1".to_owned()),
            ("{check}", "check_a".to_owned()),
            ("{state}", "alerting".to_owned()),
            ("{cluster}", "here".to_owned()),
            ("{username}", user.clone()),
            ("/findhost", "/findhost?q=web".to_owned()),
        ]
        .iter()
        .fold(path.clone(), |path, (name, value)| {
            path.replace(name, value)
        });
        let (status, body) = api.get(&asked).await;
        assert_eq!(status, StatusCode::OK, "GET {asked}: {body}");
        texts.push((format!("GET {asked}"), body.to_string()));
    }
    assert!(texts.len() > 30, "the description was not read: {texts:?}");
    texts
}

/// Every row of every table.
async fn tables(pool: &PgPool) -> Vec<Text> {
    let names: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'",
    )
    .fetch_all(pool)
    .await
    .expect("tables can be listed");
    let mut texts = Vec::new();
    for name in names {
        let all = format!("select coalesce(string_agg(t::text, E'\\n'), '') from \"{name}\" t");
        let all = sqlx::query_scalar(AssertSqlSafe(all)).fetch_one(pool).await;
        texts.push((format!("table {name}"), all.expect("a table can be read")));
    }
    texts
}

/// Looks at each place of each text once, whatever the number of canaries: a log is long.
fn are_silent(texts: &[Text], canaries: &[String]) {
    let mut beginnings: BTreeMap<Vec<u8>, &str> = BTreeMap::new();
    let mut may_begin = vec![false; 1 << 16];
    for canary in canaries {
        for form in forms(canary) {
            let beginning = form.as_bytes()[..SHOWN_AT_MOST].to_vec();
            may_begin[first_two(&beginning)] = true;
            beginnings.insert(beginning, canary);
        }
    }
    let mut said = Vec::new();
    for (of, text) in texts {
        for (at, window) in text.as_bytes().windows(SHOWN_AT_MOST).enumerate() {
            if may_begin[first_two(window)]
                && let Some(canary) = beginnings.get(window)
            {
                let around = &text.as_bytes()[at.saturating_sub(200)..text.len().min(at + 200)];
                let around = String::from_utf8_lossy(around);
                said.push(format!("{of} says {canary}: {around}"));
            }
        }
    }
    assert!(said.is_empty(), "{}", said.join("\n"));
}

fn first_two(text: &[u8]) -> usize {
    usize::from(text[0]) << 8 | usize::from(text[1])
}

/// As it is, and within basic authentication, of which the bytes before it are not known.
fn forms(canary: &str) -> Vec<String> {
    let in_base64 = |before: usize| {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(canary.as_bytes());
        let text = STANDARD_NO_PAD.encode(&bytes);
        text[(before * 8).div_ceil(6)..bytes.len() * 8 / 6].to_owned()
    };
    let encoded = (0..3).map(in_base64);
    [canary.to_owned()].into_iter().chain(encoded).collect()
}

/// A receiver that says all that it was told.
struct Echo {
    url: String,
    heard: Arc<Mutex<String>>,
}

impl Echo {
    async fn start() -> Self {
        let heard = Arc::<Mutex<String>>::default();
        let times = Arc::<Mutex<BTreeMap<String, usize>>>::default();
        let book = heard.clone();
        let echo = async move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let said = format!(
                "{method} {uri} {headers:?} {}",
                String::from_utf8_lossy(&body)
            );
            lock(&book).push_str(&said);
            // a channel's path begins with its name
            let channel = uri.path().split('/').nth(1).unwrap_or_default();
            let mut times = lock(&times);
            let n = times.entry(channel.to_owned()).or_default();
            *n += 1;
            let status = ANSWERS[(*n - 1) % ANSWERS.len()];
            let status = StatusCode::from_u16(status).expect("it is one");
            (
                status,
                json!({"status": "invalid", "said": said, "detail": said}).to_string(),
            )
        };
        let app = axum::Router::new().fallback(echo);
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback can be listened on");
        let address = listener.local_addr().expect("it has an address");
        // ends with the test's runtime
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            url: format!("http://{address}"),
            heard,
        }
    }

    fn heard(&self) -> String {
        lock(&self.heard).clone()
    }
}

fn lock<T>(what: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
