//! Passwords and keys: asked for without an echo, or read from where nobody else reads.

use std::io::IsTerminal as _;
use std::path::Path;

use crate::failure::Failure;

/// Asks for a password.
///
/// # Errors
/// If nobody sits before a terminal.
pub(crate) fn ask(prompt: &str) -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("nobody is here to type a password")
            .hint("say --password-stdin, and give it on standard input"));
    }
    rpassword::prompt_password(prompt)
        .map_err(|error| Failure::usage(format!("no password can be read: {error}")))
}

/// Asks for a new password, twice, unless it comes on standard input.
///
/// # Errors
/// If there is none, or the two differ.
pub(crate) fn new_password(from_stdin: bool) -> Result<String, Failure> {
    if from_stdin {
        return from_standard_input();
    }
    let password = ask("New password: ")?;
    if ask("The same again: ")? != password {
        return Err(Failure::usage("the two differ").hint("try again"));
    }
    Ok(password)
}

/// The first line of standard input.
///
/// # Errors
/// If there is none.
pub(crate) fn from_standard_input() -> Result<String, Failure> {
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .map_err(|error| Failure::usage(format!("standard input cannot be read: {error}")))?;
    line_of(&line, "standard input")
}

/// The first line of a file.
///
/// # Errors
/// If there is none.
pub(crate) fn from_file(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))?;
    line_of(&text, &file.display().to_string())
}

fn line_of(text: &str, from: &str) -> Result<String, Failure> {
    match text.lines().next().map(str::trim) {
        None | Some("") => Err(Failure::usage(format!("{from} holds nothing"))),
        Some(line) => Ok(line.to_owned()),
    }
}
