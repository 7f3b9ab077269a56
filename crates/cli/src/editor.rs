//! Text that is too long for a command line.

use std::env;
use std::fs;
use std::io::IsTerminal as _;
use std::process::Command;

use crate::failure::Failure;

/// What is written in the user's editor, without blanks at its ends.
///
/// # Errors
/// If the editor fails, or nothing is written.
pub(crate) fn written() -> Result<String, Failure> {
    let editor = ["STALKER_EDITOR", "EDITOR"]
        .into_iter()
        .find_map(env::var_os)
        .unwrap_or_else(|| "vi".into());
    let failed = |error: std::io::Error| Failure::usage(format!("the editor fails: {error}"));
    let file = tempfile::NamedTempFile::new().map_err(failed)?;
    // by way of the shell, since what people set has options: `emacs -nw`
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("{} \"$1\"", editor.to_string_lossy()))
        .arg("sh")
        .arg(file.path())
        .status()
        .map_err(failed)?;
    if !status.success() {
        let code = status.code().unwrap_or(-1);
        return Err(Failure::usage(format!("Error on editor exit code {code}")));
    }
    // by its name: an editor may have put another file in its place
    let text = fs::read_to_string(file.path()).map_err(failed)?;
    match text.trim() {
        "" => Err(Failure::usage("Abort, no message")),
        text => Ok(text.to_owned()),
    }
}

/// Text that was given, that comes from standard input (`-`), or that is written now.
///
/// # Errors
/// If there is none.
pub(crate) fn text(given: Option<&str>) -> Result<String, Failure> {
    match given {
        Some("-") => std::io::read_to_string(std::io::stdin())
            .map(|text| text.trim().to_owned())
            .map_err(|error| Failure::usage(format!("standard input cannot be read: {error}"))),
        Some(text) => Ok(text.to_owned()),
        None if std::io::stdin().is_terminal() => written(),
        None => Err(Failure::usage("there is no text")
            .hint("give it as an argument, or - for what standard input holds")),
    }
}
