//! Files that hold secrets.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context;

/// Writes a file that only its owner may read, whole or not at all: who reads it never sees half of it.
///
/// # Errors
/// Which file, and why not.
pub(crate) fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let partial = file.with_extension("partial");
    fs::remove_file(&partial).ok();
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)
        .and_then(|mut open| open.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&partial, file));
    written.with_context(|| format!("cannot write {}", file.display()))
}
