//! What only its holder is to know: made here, shown once, and kept as a hash.

/// A key for the API, or for agents that register.
#[must_use]
pub fn key() -> String {
    format!("stk_{}", random())
}

/// 256 random bits in hex: the secret of a session, or a host's token.
pub(crate) fn random() -> String {
    let bytes = rand::random::<[u8; 32]>();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A password that can be read out over a telephone: 100 bits.
#[must_use]
pub fn password() -> String {
    // without what looks like something else
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let letters: Vec<char> = rand::random::<[u8; 20]>()
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
        .collect();
    let groups: Vec<String> = letters
        .chunks(5)
        .map(|group| group.iter().collect())
        .collect();
    groups.join("-")
}
