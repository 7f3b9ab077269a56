//! Which certificate each host's agent must show (semantics.md, decision 10).

use sqlx::{PgConnection, PgPool};

/// A host's pin.
#[derive(Debug, Clone)]
pub struct Pin {
    /// The host's name.
    pub hostname: String,
    /// Where it is called.
    pub ip: String,
    /// The port that its agent listens on.
    pub port: i32,
    /// Lower-case hex SHA-256 of the certificate; none until one is known.
    pub cert_sha256: Option<String>,
    /// `registered`, or `first_seen`: trusted on first use.
    pub cert_origin: Option<String>,
    /// Its agent has shown a token: nobody else can register by its name. The original's agents have none.
    pub has_token: bool,
}

/// The name of the host whose agent must show this certificate.
///
/// # Errors
/// If the database does not answer.
pub async fn host_pinned_to(pool: &PgPool, cert_sha256: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "select hostname from hosts where cert_sha256 = $1 order by host_id limit 1",
        cert_sha256
    )
    .fetch_optional(pool)
    .await
}

/// All hosts with their pins, by name.
///
/// # Errors
/// If the database does not answer.
pub async fn list(pool: &PgPool) -> sqlx::Result<Vec<Pin>> {
    sqlx::query_as!(
        Pin,
        r#"select hostname, ip, port, cert_sha256, cert_origin, (token_hash is not null and token_is_shown) as "has_token!" from hosts order by hostname"#
    )
    .fetch_all(pool)
    .await
}

/// The pin of a host, by its id.
///
/// # Errors
/// If the database does not answer.
pub async fn find(pool: &PgPool, host_id: i64) -> sqlx::Result<Option<Pin>> {
    sqlx::query_as!(
        Pin,
        r#"select hostname, ip, port, cert_sha256, cert_origin, (token_hash is not null and token_is_shown) as "has_token!" from hosts where host_id = $1"#,
        host_id
    )
    .fetch_optional(pool)
    .await
}

/// Forgets a host's pin, so that it is pinned to the certificate that it shows next. Gives what it was; `None` if there is no
/// such host.
///
/// # Errors
/// If the database does not answer.
pub async fn reset(conn: &mut PgConnection, hostname: &str) -> sqlx::Result<Option<Pin>> {
    sqlx::query_as!(
        Pin,
        r#"
        update hosts h set cert_sha256 = null, cert_origin = null
        from (select * from hosts where hostname = $1 for no key update) as was
        where h.host_id = was.host_id
        returning was.hostname, was.ip, was.port, (was.token_hash is not null and was.token_is_shown) as "has_token!", was.cert_sha256, was.cert_origin
        
        "#,
        hostname
    )
    .fetch_optional(conn)
    .await
}
