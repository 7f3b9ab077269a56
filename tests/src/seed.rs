//! Random choices that can be repeated.

use rand::SeedableRng;
use rand::rngs::StdRng;

/// A generator whose seed is printed (nextest shows it with a failure) and may be given as `STALKER_TEST_SEED`.
///
/// # Panics
/// If `STALKER_TEST_SEED` is not a number.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests' own configuration has no other way in"
)]
pub fn random() -> StdRng {
    let seed = match std::env::var("STALKER_TEST_SEED") {
        Ok(seed) => seed
            .parse()
            .expect("STALKER_TEST_SEED is the number that a failed test printed"),
        Err(_) => rand::random(),
    };
    eprintln!("STALKER_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}
