//! How long a test goes on that could go on for ever.

/// As many rounds as are `usual`, times `STALKER_TEST_LENGTH`: `make crash-long` sets it.
///
/// # Panics
/// If `STALKER_TEST_LENGTH` is not a number.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests' own configuration has no other way in"
)]
pub fn rounds(usual: usize) -> usize {
    match std::env::var("STALKER_TEST_LENGTH") {
        Ok(length) => {
            let length: usize = length.parse().expect("STALKER_TEST_LENGTH is a factor");
            usual * length
        }
        Err(_) => usual,
    }
}
