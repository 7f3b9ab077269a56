//! Who may do what: one table, and every operation of the description is walked as everybody.

use std::collections::BTreeMap;

use reqwest::{Client, RequestBuilder};
use stalker_domain::wire::{AGENT_TOKEN_HEADER, API_KEY_HEADER, REGISTER_KEY_HEADER};

use super::*;

/// Whom an operation admits.
#[derive(Debug, Clone, Copy)]
enum Admits {
    /// Whoever comes.
    Everybody,
    /// Who looks, also with a key for some hosts.
    ScopedViewer,
    /// Who looks at everything.
    Viewer,
    /// Who steers, also with a key for some hosts.
    ScopedOperator,
    /// Who steers everything.
    Operator,
    /// Who decides.
    Admin,
    /// The agent of the name.
    Agent,
    /// A person, also one who was signed out meanwhile: no key is one.
    Person,
}

use Admits::*;

/// The one table. A new operation without a row fails.
const TABLE: [(&str, Admits); 75] = [
    ("list_alerts", ScopedViewer),
    ("get_alert", ScopedViewer),
    ("list_audit", Admin),
    ("list_channels", Viewer),
    ("list_alert_routes", Viewer),
    ("test_channel", Operator),
    ("list_checks", ScopedViewer),
    ("list_checks_of_host", ScopedViewer),
    ("get_check", ScopedViewer),
    ("delete_check", Admin),
    ("get_next_run", ScopedViewer),
    ("set_next_run", ScopedOperator),
    ("get_overrides", ScopedViewer),
    ("set_overrides", ScopedOperator),
    ("delete_overrides", ScopedOperator),
    ("get_owner", ScopedViewer),
    ("set_owner", ScopedOperator),
    ("delete_owner", ScopedOperator),
    ("get_suspension", ScopedViewer),
    ("set_suspension", ScopedOperator),
    ("list_checks_in_state", ScopedViewer),
    ("find_host", ScopedViewer),
    ("list_clusters", Viewer),
    ("list_cluster_checks_in_state", Viewer),
    ("list_cluster_checks_of_host", Viewer),
    ("get_cluster_check", Viewer),
    ("delete_cluster_check", Admin),
    ("get_cluster_next_run", Viewer),
    ("set_cluster_next_run", Operator),
    ("get_cluster_suspension", Viewer),
    ("set_cluster_suspension", Operator),
    ("get_cluster_owner", Viewer),
    ("set_cluster_owner", Operator),
    ("delete_cluster_owner", Operator),
    ("delete_cluster_host", Admin),
    ("get_health", Everybody),
    ("list_hosts", ScopedViewer),
    ("get_host", ScopedViewer),
    ("delete_host", Admin),
    ("get_pin", ScopedViewer),
    ("reset_pin", Admin),
    ("release_host", Admin),
    ("list_keys", Admin),
    ("create_key", Admin),
    ("revoke_key", Admin),
    ("list_maintenances", Viewer),
    ("create_maintenance", Operator),
    ("get_maintenance", Viewer),
    ("update_maintenance", Operator),
    ("end_maintenance", Operator),
    ("get_metrics", Viewer),
    ("list_notes", ScopedViewer),
    ("create_note", ScopedOperator),
    ("list_notifications", ScopedViewer),
    ("retry_notification", Operator),
    ("get_readiness", Everybody),
    ("put_registration", Agent),
    ("post_registration", Agent),
    ("list_replicas", Viewer),
    ("list_routes", ScopedViewer),
    ("list_samples", ScopedViewer),
    ("list_sessions", Viewer),
    ("end_session", Viewer),
    ("get_sign_in", Everybody),
    ("sign_in", Everybody),
    ("get_sign_out", Everybody),
    ("sign_out", Person),
    ("list_state_changes", ScopedViewer),
    ("get_stats", Viewer),
    ("get_cluster_stats", Viewer),
    ("list_users", Viewer),
    ("create_user", Admin),
    ("get_user", Viewer),
    // themselves; others only by an admin, as `people` shows
    ("update_user", Viewer),
    ("delete_user", Admin),
];

/// Who comes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Who {
    Nobody,
    ViewerKey,
    OperatorKey,
    AdminKey,
    ScopedViewerKey,
    ScopedOperatorKey,
    ExpiredKey,
    RegisterKey,
    ThisAgent,
    OtherAgent,
    ViewerSession,
    AdminSession,
}

impl Who {
    const ALL: [Self; 12] = [
        Self::Nobody,
        Self::ViewerKey,
        Self::OperatorKey,
        Self::AdminKey,
        Self::ScopedViewerKey,
        Self::ScopedOperatorKey,
        Self::ExpiredKey,
        Self::RegisterKey,
        Self::ThisAgent,
        Self::OtherAgent,
        Self::ViewerSession,
        Self::AdminSession,
    ];

    fn rank(self) -> u8 {
        match self {
            Self::ViewerKey | Self::ViewerSession | Self::ScopedViewerKey => 1,
            Self::OperatorKey | Self::ScopedOperatorKey => 2,
            Self::AdminKey | Self::AdminSession => 3,
            _ => 0,
        }
    }

    /// The status of a refusal; `None` if they are let in.
    fn refused_by(self, admits: Admits) -> Option<StatusCode> {
        let is_agent = [Self::ThisAgent, Self::OtherAgent].contains(&self);
        let is_scoped = [Self::ScopedViewerKey, Self::ScopedOperatorKey].contains(&self);
        let (needed, takes_scope) = match admits {
            Everybody => return None,
            Agent => {
                return match self {
                    Self::ThisAgent => None,
                    Self::OtherAgent => Some(StatusCode::FORBIDDEN),
                    _ => Some(StatusCode::PRECONDITION_FAILED),
                };
            }
            Person
                if is_agent
                    || [Self::Nobody, Self::ViewerSession, Self::AdminSession].contains(&self) =>
            {
                return None;
            }
            ScopedViewer => (1, true),
            Viewer => (1, false),
            ScopedOperator => (2, true),
            Operator => (2, false),
            Admin => (3, false),
            Person => (4, false),
        };
        if self == Self::Nobody || is_agent {
            return Some(StatusCode::UNAUTHORIZED);
        }
        let may = self.rank() >= needed && (takes_scope || !is_scoped);
        (!may).then_some(StatusCode::FORBIDDEN)
    }
}

#[tokio::test]
async fn every_operation_admits_whom_the_table_says() {
    let served = serve(TestDatabase::new().await).await;
    let everybody = Everyone::of(&served).await;
    let table: BTreeMap<&str, Admits> = TABLE.into_iter().collect();
    let operations = operations(&served).await;
    assert_eq!(table.len(), TABLE.len(), "an operation has two rows");
    for (id, _) in TABLE {
        assert!(
            operations.iter().any(|(_, _, known)| known == id),
            "{id} is no operation"
        );
    }
    let mut wrong = Vec::new();
    for (method, path, id) in &operations {
        let admits = *table
            .get(id.as_str())
            .unwrap_or_else(|| panic!("{id} has no row in the table"));
        for who in Who::ALL {
            // what somebody may do to themselves; `people` shows who may do it to others
            let path = match id.as_str() {
                "update_user" => "/user/me".to_owned(),
                _ => everybody.concrete(path),
            };
            let mut request = everybody.request(who, method.clone(), &path);
            request = match id.as_str() {
                "sign_in" => request.form(&[("username", "nobody"), ("password", "wrong")]),
                "put_registration" | "post_registration" => request.json(&host("web1")),
                _ if method == Method::GET => request,
                _ => request.json(&json!({})),
            };
            let answer = request.send().await.expect("the API answers");
            let status = answer.status();
            let is_as_expected = match who.refused_by(admits) {
                Some(refused) => status == refused,
                // what is admitted may be wrong, or gone, but is not refused
                None if id == "sign_in" => status == StatusCode::UNAUTHORIZED,
                None => {
                    ![StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status)
                        && (!status.is_server_error() || id == "test_channel")
                }
            };
            if !is_as_expected {
                wrong.push(format!("{id} ({method} {path}) as {who:?}: {status}"));
            }
            everybody.restore(&served, id).await;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What our agent sends.
fn host(name: &str) -> Value {
    json!({
        "hostname": name, "roles": ["web"], "ip": "127.0.0.1", "agent_version": "test", "check_key": format!("key of {name}"),
        "checks": {"check_load": {"args": "", "interval": 60, "follow_up": 60}},
    })
}

struct Everyone {
    client: Client,
    url: String,
    token: String,
    other_token: String,
    viewer: String,
    admin: String,
}

impl Everyone {
    async fn of(served: &Served) -> Self {
        for access in ["viewer", "operator", "admin"] {
            served.client_with(access).await;
        }
        served
            .execute(
                "insert into api_keys (name, hash, access, scope) values ('scoped', sha256('scoped viewer'), 'viewer', '{web}');
                 insert into api_keys (name, hash, access, scope) values ('scoped', sha256('scoped operator'), 'operator', '{web}');
                 insert into api_keys (name, hash, access, expires_at) values ('old', sha256('expired'), 'admin', now());
                 insert into api_keys (name, hash, access) values ('agents', sha256('for agents'), 'register');
                 insert into channels (name, provider, repeat_s) values ('pager', 'http', 3600);",
            )
            .await;
        let token = served.register_with_token(&host("web1")).await;
        let other_token = served.register_with_token(&host("web2")).await;
        let viewer = served.person("val", "viewer").await;
        let admin = served.person("adam", "admin").await;
        Self {
            client: Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .expect("a client can be made"),
            url: served.api.url.clone(),
            token,
            other_token,
            viewer,
            admin,
        }
    }

    /// A path with something in the place of its variables; what is not there is unknown, but not refused.
    fn concrete(&self, path: &str) -> String {
        let path = path
            .replace("{name}", "pager")
            .replace("{host}", "web1")
            .replace("{check}", "check_load")
            .replace("{cluster}", "here")
            .replace("{state}", "alerting")
            .replace("{username}", "val")
            .replace("{id}", "999999");
        match path.as_str() {
            "/findhost" => "/findhost?q=w".to_owned(),
            _ => path,
        }
    }

    fn request(&self, who: Who, method: Method, path: &str) -> RequestBuilder {
        // a browser's form of ours
        let request = self
            .client
            .request(method, format!("{}{path}", self.url))
            .header("sec-fetch-site", "same-origin");
        let with_key = |key: &str| {
            request
                .try_clone()
                .expect("it has no body yet")
                .header(API_KEY_HEADER, key)
        };
        let agent = |key: &str, token: &str| {
            let request = request.try_clone().expect("it has no body yet");
            let request = request.header(REGISTER_KEY_HEADER, key);
            request.header(AGENT_TOKEN_HEADER, token)
        };
        let session = |secret: &str| {
            let request = request.try_clone().expect("it has no body yet");
            request.header("cookie", format!("stalker={secret}"))
        };
        match who {
            Who::Nobody => request,
            Who::ViewerKey => with_key("key of a viewer"),
            Who::OperatorKey => with_key("key of a operator"),
            Who::AdminKey => with_key("key of a admin"),
            Who::ScopedViewerKey => with_key("scoped viewer"),
            Who::ScopedOperatorKey => with_key("scoped operator"),
            Who::ExpiredKey => with_key("expired"),
            Who::RegisterKey => with_key("for agents"),
            Who::ThisAgent => agent("for agents", &self.token),
            Who::OtherAgent => agent(REGISTER_KEY, &self.other_token),
            Who::ViewerSession => session(&self.viewer),
            Who::AdminSession => session(&self.admin),
        }
    }

    /// Undoes what an operation may have destroyed, so that the next one meets the same.
    async fn restore(&self, served: &Served, id: &str) {
        let hash = |secret: &str| Sha256::digest(secret).to_vec();
        match id {
            "delete_host" | "release_host" => {
                served
                    .run("delete from hosts where hostname = 'web1'")
                    .await;
                let client = served.register_with_token(&host("web1")).await;
                sqlx::query("update hosts set token_hash = $1, token_is_shown = true where hostname = 'web1'")
                    .bind(hash(&self.token))
                    .execute(served.pool())
                    .await
                    .expect("a token can be set");
                drop(client);
            }
            "sign_in" => served.run("delete from send_rates").await,
            "sign_out" | "delete_user" | "update_user" => {
                served
                    .run("insert into users (username, access, password_hash) values ('val', 'viewer', '') on conflict do nothing")
                    .await;
                for (name, secret) in [("val", &self.viewer), ("adam", &self.admin)] {
                    sqlx::query(
                        "insert into sessions (user_id, hash, address, network, agent) select user_id, $2, '', '', '' from users where username = $1
                         on conflict do nothing",
                    )
                    .bind(name)
                    .bind(hash(secret))
                    .execute(served.pool())
                    .await
                    .expect("a session can be added");
                }
            }
            _ => {}
        }
    }
}
