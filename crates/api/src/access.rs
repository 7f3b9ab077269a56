//! Who may call. A permission is an extractor in a handler's signature, so that a handler without one is visibly
//! public: a viewer looks, an operator steers, an admin decides who may do what, and destroys.
//!
//! A key may be limited to the hosts of some roles. `ScopedViewer` and `ScopedOperator` admit such keys, and their handlers
//! honour the scope; all others refuse them.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use sqlx::PgConnection;
use stalker_clusters::ON_BEHALF_OF_HEADER;
use stalker_db::api_keys::{self, CONFIGURED};
use stalker_db::audit::{Actor, Deed, Kind};
use stalker_db::{audit, sessions};
use stalker_domain::wire::{API_KEY_HEADER, REGISTER_KEY_HEADER};
use subtle::ConstantTimeEq;

use crate::App;
use crate::client::Client;
use crate::cookie;
use crate::error::Error;
use crate::origin;

/// Characters that are kept of a name that somebody claims to act for.
const LONGEST_NAME: usize = 200;

/// Somebody who is known.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Their name, for the audit.
    pub(crate) actor: Actor,
    access: Access,
    /// The roles of which a host must have one; `None` for all hosts.
    pub(crate) scope: Option<Vec<String>>,
    /// The session, if it is a person who signed in.
    pub(crate) session: Option<sessions::SignedIn>,
}

/// May look at everything.
pub(crate) struct Viewer(pub(crate) Caller);
/// May also run, reschedule, suspend, resume, own and override checks, write notes, declare maintenances, try messages
/// again and test channels.
pub(crate) struct Operator(pub(crate) Caller);
/// May also delete hosts and checks, reset pins, and decide who may do what.
pub(crate) struct Admin(pub(crate) Caller);
/// May look at the hosts of the key's scope.
pub(crate) struct ScopedViewer(pub(crate) Caller);
/// May also steer them.
pub(crate) struct ScopedOperator(pub(crate) Caller);
/// Showed a register key, as agents do: its name.
pub(crate) struct Agent(pub(crate) String);

#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Access {
    Viewer,
    Operator,
    Admin,
}

impl Access {
    fn named(name: &str) -> Option<Self> {
        match name {
            "admin" => Some(Self::Admin),
            "operator" => Some(Self::Operator),
            "viewer" => Some(Self::Viewer),
            _ => None,
        }
    }
}

impl Caller {
    /// Whether this is an admin, who may do to others what they may do to themselves.
    pub(crate) fn is_admin(&self) -> bool {
        self.access == Access::Admin
    }

    /// The scope as a query takes it.
    pub(crate) fn scope(&self) -> Option<&[String]> {
        self.scope.as_deref()
    }

    /// Writes down what the caller does, in the transaction in which it is done.
    pub(crate) async fn audit(&self, conn: &mut PgConnection, deed: Deed<'_>) -> sqlx::Result<()> {
        audit::write(conn, &self.actor, deed).await
    }
}

/// Who calls: by key, else by session.
async fn identify(parts: &Parts, app: &App) -> Result<Caller, Error> {
    let client = Client::of(parts);
    if let Some(key) = parts.headers.get(API_KEY_HEADER) {
        let wrong = Error::Forbidden("the API key is wrong");
        let Ok(key) = key.to_str() else {
            return Err(wrong);
        };
        let Some(key) = api_keys::find(&app.pool, key).await? else {
            return Err(wrong);
        };
        // a register key is an agent's, and opens nothing else
        let access = Access::named(&key.access).ok_or(wrong)?;
        return Ok(Caller {
            actor: Actor {
                on_behalf_of: on_behalf_of(&parts.headers),
                ..client.actor(Kind::Key, Some(key.key_id), key.name)
            },
            access,
            scope: key.scope,
            session: None,
        });
    }
    let secret = cookie::session(&parts.headers, app.config.is_secure()).ok_or(Error::NoKey)?;
    let session = sessions::find(&app.pool, secret)
        .await?
        .ok_or(Error::NoKey)?;
    // a browser shows its cookie for whoever asks it to
    if !parts.method.is_safe() {
        origin::require_same(&parts.headers, app.config.public_url.as_deref())?;
    }
    Ok(Caller {
        actor: client.actor(Kind::User, Some(session.user_id), session.username.clone()),
        access: Access::named(&session.access).ok_or(Error::NoKey)?,
        scope: None,
        session: Some(session),
    })
}

/// For whom a key acts, as whoever has it says: a note in the audit, which opens nothing.
fn on_behalf_of(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(ON_BEHALF_OF_HEADER)?;
    let name = String::from_utf8_lossy(name.as_bytes());
    let name: String = name.trim().chars().take(LONGEST_NAME).collect();
    (!name.is_empty()).then_some(name)
}

async fn require(
    parts: &Parts,
    app: &App,
    needed: Access,
    is_scoped: bool,
) -> Result<Caller, Error> {
    let caller = identify(parts, app).await?;
    if caller.access < needed {
        return Err(Error::Forbidden("your access does not allow this"));
    }
    if caller.scope.is_some() && !is_scoped {
        return Err(Error::Forbidden(
            "a key that is limited to roles may not do this",
        ));
    }
    Ok(caller)
}

/// Each extractor with the access that it needs, and whether it admits keys with a scope.
macro_rules! permissions {
    ($($extractor:ident: $needed:ident, $is_scoped:literal;)*) => {$(
        impl FromRequestParts<App> for $extractor {
            type Rejection = Error;

            async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
                require(parts, app, Access::$needed, $is_scoped).await.map(Self)
            }
        }
    )*};
}

permissions! {
    Viewer: Viewer, false;
    Operator: Operator, false;
    Admin: Admin, false;
    ScopedViewer: Viewer, true;
    ScopedOperator: Operator, true;
}

impl FromRequestParts<App> for Agent {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let shown = parts
            .headers
            .get(REGISTER_KEY_HEADER)
            .ok_or(Error::WrongRegisterKey)?;
        // in constant time, so that the time tells nothing about a wrong key but its length
        if shown
            .as_bytes()
            .ct_eq(app.config.register_key.as_bytes())
            .into()
        {
            return Ok(Self(CONFIGURED.to_owned()));
        }
        let shown = shown.to_str().map_err(|_| Error::WrongRegisterKey)?;
        match api_keys::find(&app.pool, shown).await? {
            Some(key) if key.access == "register" => Ok(Self(key.name)),
            _ => Err(Error::WrongRegisterKey),
        }
    }
}
