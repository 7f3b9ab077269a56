//! What people and agents do to the tables, without the API between.

use sqlx::PgPool;
use sqlx::types::chrono::{DateTime, Utc};
use stalker_db::audit::{Actor, Kind};
use stalker_db::registrations::{self, Identity};
use stalker_db::{checks, hosts};
use stalker_domain::wire::Registration;

/// An agent registers, and never shows the token that it is given.
///
/// # Panics
/// If it cannot.
pub async fn register(pool: &PgPool, registration: &Registration) {
    let actor = Actor {
        kind: Kind::Agent,
        id: None,
        name: registration.hostname.clone(),
        address: "127.0.0.1".to_owned(),
        on_behalf_of: None,
    };
    let identity = Identity {
        token: None,
        new_token: "a token that is never shown",
        allow_tokenless: true,
        actor: &actor,
        register_key: "configuration",
    };
    registrations::register(pool, registration, "127.0.0.1", &identity)
        .await
        .expect("a host can register");
}

/// A person wants a check to run at a time, or now. False if there is no such check.
///
/// # Panics
/// If the database does not answer.
pub async fn run_at(pool: &PgPool, check_id: i64, at: Option<DateTime<Utc>>) -> bool {
    let mut tx = pool.begin().await.expect("the database answers");
    let before = checks::run_at(&mut tx, check_id, at).await;
    tx.commit().await.expect("the database answers");
    before.expect("the database answers").is_some()
}

/// A person suspends a check, or resumes it. False if there is no such check.
///
/// # Panics
/// If the database does not answer.
pub async fn suspend(pool: &PgPool, check_id: i64, suspended: bool) -> bool {
    let mut tx = pool.begin().await.expect("the database answers");
    let before = checks::set_suspended(&mut tx, check_id, suspended).await;
    tx.commit().await.expect("the database answers");
    before.expect("the database answers").is_some()
}

/// A person deletes a check.
///
/// # Panics
/// If there is no such check.
pub async fn delete_check(pool: &PgPool, check_id: i64) {
    let mut tx = pool.begin().await.expect("the database answers");
    let done = checks::delete(&mut tx, check_id).await;
    assert!(
        done.expect("the database answers"),
        "check {check_id} is there"
    );
    tx.commit().await.expect("the database answers");
}

/// A person deletes a host.
///
/// # Panics
/// If there is no such host.
pub async fn delete_host(pool: &PgPool, hostname: &str) {
    let host_id = hosts::find_id(pool, hostname, None).await;
    let host_id = host_id
        .expect("the database answers")
        .expect("the host is there");
    let mut tx = pool.begin().await.expect("the database answers");
    let done = hosts::delete(&mut tx, host_id).await;
    assert!(done.expect("the database answers"), "{hostname} is there");
    tx.commit().await.expect("the database answers");
}
