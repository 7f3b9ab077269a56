//! The audit: who did what, when, and from where.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stalker_db::audit::{self, Which};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::access::Admin;
use crate::error::{Error, Failures};
use crate::extract::{Query, time};
use crate::list::{self, Part};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_audit))
}

/// Something that somebody did.
#[derive(Serialize, ToSchema)]
struct Entry {
    /// Opaque; what `after` takes.
    #[schema(example = "512")]
    id: String,
    /// When, unix seconds.
    #[schema(example = 1_364_186_204)]
    time: i64,
    /// `user`, `key`, `agent` (by its host's name) or `command` (on a server, by its user there).
    #[schema(value_type = ActorKind)]
    actor_kind: String,
    /// Which user or key; null for others. Names of keys are not unique.
    #[schema(required, example = "7")]
    actor_id: Option<String>,
    /// Their name.
    #[schema(example = "ann")]
    actor: String,
    /// The IP address; of a command the name of its machine.
    #[schema(example = "10.0.0.1")]
    address: String,
    /// For whom, where another cluster acts here for somebody, as it says: `ann@east`; else null.
    #[schema(required, example = json!(null))]
    on_behalf_of: Option<String>,
    /// An operation of this document, or a command's words.
    #[schema(example = "set_suspension")]
    action: String,
    /// What it was done to.
    #[schema(example = "check 17")]
    subject: String,
    /// What was so before; null if there was nothing.
    #[schema(required, example = json!({"suspended": false}))]
    before: Option<Value>,
    /// What is so since; null if nothing is left.
    #[schema(required, example = json!({"suspended": true}))]
    after: Option<Value>,
}

/// Who can do something.
#[derive(ToSchema)]
#[allow(dead_code)] // a description: the database keeps these words
#[schema(rename_all = "lowercase")]
enum ActorKind {
    User,
    Key,
    Agent,
    Command,
}

/// Entries, in the order in which they were written, or the other way round.
#[derive(Serialize, ToSchema)]
struct Audit {
    /// The oldest first, unless the newest are asked for.
    audit: Vec<Entry>,
}

/// Which entries are wanted: all that is given must be so.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// By this actor.
    actor: Option<String>,
    /// Of this action.
    action: Option<String>,
    /// Of what was done to this.
    subject: Option<String>,
    /// Since then, unix seconds.
    #[param(value_type = Option<f64>, minimum = 0, exclusive_maximum = 253_402_300_800_u64)]
    #[serde(default, deserialize_with = "time")]
    from: Option<DateTime<Utc>>,
    /// Before then, unix seconds.
    #[param(value_type = Option<f64>, minimum = 0, exclusive_maximum = 253_402_300_800_u64)]
    #[serde(default, deserialize_with = "time")]
    to: Option<DateTime<Utc>>,
    /// True: the newest first. Then `after` continues with what is older than the entry with that id.
    #[serde(default)]
    #[param(required = false)]
    newest: bool,
}

/// Who did what
///
/// A row for every write, also of agents that register something new. Rows are only added. The oldest come first, or with
/// `newest=true` the newest. Needs access admin.
#[utoipa::path(
    get,
    path = "/audit",
    tag = "cluster",
    params(Filter, Part),
    security(("api_key" = [])),
    responses((status = 200, description = "The entries, streamed", body = Audit), Failures)
)]
async fn list_audit(
    _: Admin,
    State(app): State<App>,
    Query(filter): Query<Filter>,
    Query(part): Query<Part>,
) -> Result<Response, Error> {
    let which = Which {
        actor: filter.actor,
        action: filter.action,
        subject: filter.subject,
        from: filter.from,
        to: filter.to,
    };
    let newest = filter.newest;
    let wanted = match newest {
        true => part.downwards(),
        false => part.into(),
    };
    list::send("audit", wanted, list::SMALL, move |after, limit| {
        let (pool, which) = (app.pool.clone(), which.clone());
        async move {
            let page = match newest {
                true => audit::page_of_newest(&pool, &which, after, limit).await?,
                false => audit::page(&pool, &which, after, limit).await?,
            };
            Ok(page
                .into_iter()
                .map(|entry| (entry.audit_id, Entry::from(entry)))
                .collect())
        }
    })
    .await
}

impl From<audit::Entry> for Entry {
    fn from(entry: audit::Entry) -> Self {
        Self {
            id: entry.audit_id.to_string(),
            time: entry.at.timestamp(),
            actor_kind: entry.actor_kind,
            actor_id: entry.actor_id.map(|id| id.to_string()),
            actor: entry.actor,
            address: entry.address,
            on_behalf_of: entry.on_behalf_of,
            action: entry.action,
            subject: entry.subject,
            before: entry.before,
            after: entry.after,
        }
    }
}
