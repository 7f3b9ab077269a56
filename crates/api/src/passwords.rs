//! Passwords: hashed slowly, with much memory (Argon2id, 64 MiB, 3 passes), and at most two at a time, so that many tries
//! cannot take all of a machine.

use std::sync::LazyLock;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

/// Characters of a password.
pub const SHORTEST: usize = 8;
/// What is longer is no password, but an attack.
pub const LONGEST: usize = 200;

const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 1;

static AT_A_TIME: Semaphore = Semaphore::const_new(2);
/// What a password of a user who does not exist is compared with, so that the time does not tell.
static NOBODYS: LazyLock<String> = LazyLock::new(|| hash_now("nobody's password"));

/// Why a text is no password, or nothing.
#[must_use]
pub fn refused(password: &str) -> Option<String> {
    match password.chars().count() {
        n if n < SHORTEST => Some(format!("must have at least {SHORTEST} characters")),
        n if n > LONGEST => Some(format!("must have at most {LONGEST} characters")),
        _ => None,
    }
}

/// A password's hash, as a PHC string.
///
/// # Panics
/// If the runtime ends meanwhile.
pub async fn hash(password: &str) -> String {
    let password = password.to_owned();
    in_turn(move || hash_now(&password)).await
}

/// Whether a password is the one with this hash; `None` stands for a user who does not exist, and takes as long.
pub(crate) async fn verify(password: &str, hash: Option<String>) -> bool {
    let password = password.to_owned();
    in_turn(move || {
        let is_somebody = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODYS.clone());
        let is_it = PasswordHash::new(&hash)
            .is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok());
        is_it && is_somebody
    })
    .await
}

/// At most two at a time, also of those that nobody waits for any more: whoever hangs up and calls again must not get more.
async fn in_turn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let turn = AT_A_TIME.acquire().await.expect("it is never closed");
    let work = move || {
        let _turn = turn;
        work()
    };
    tokio::task::spawn_blocking(work)
        .await
        .expect("hashing does not panic")
}

/// Makes the hash that stands for nobody's: else the first unknown name would take twice as long as a known one.
pub(crate) async fn prepare() {
    in_turn(|| LazyLock::force(&NOBODYS)).await;
}

fn hash_now(password: &str) -> String {
    let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>()).expect("16 bytes are a salt");
    argon2()
        .hash_password(password.as_bytes(), &salt)
        .expect("its parameters are valid")
        .to_string()
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("they are within bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_is_of_one_password() {
        let hashed = hash("correct horse").await;
        assert!(
            hashed.starts_with("$argon2id$v=19$m=65536,t=3,p=1$"),
            "{hashed}"
        );
        assert!(verify("correct horse", Some(hashed.clone())).await);
        assert!(!verify("correct horsf", Some(hashed)).await);
        assert!(!verify("nobody's password", None).await);
    }

    #[tokio::test]
    async fn who_hangs_up_gets_no_more() {
        let impatient: Vec<_> = (0..4)
            .map(|_| tokio::spawn(hash("correct horse")))
            .collect();
        while AT_A_TIME.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        for task in &impatient {
            task.abort();
        }
        for task in impatient {
            assert!(task.await.is_err_and(|error| error.is_cancelled()));
        }
        assert_eq!(
            AT_A_TIME.available_permits(),
            0,
            "what was begun goes on, and holds its place"
        );
    }
}
