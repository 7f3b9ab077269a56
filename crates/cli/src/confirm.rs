//! Before something is destroyed.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use crate::failure::Failure;
use crate::output::printable;

/// The answer that is given beforehand.
#[derive(Debug, clap::Args)]
pub(crate) struct Confirmed {
    /// Do it without asking
    #[arg(short, long)]
    yes: bool,
}

impl Confirmed {
    /// Asks whoever sits before the terminal; where nobody does, `--yes` must have been said.
    ///
    /// # Errors
    /// If it is not to be done.
    pub(crate) fn ask(&self, question: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        let question = printable(question);
        if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
            return Err(
                Failure::usage(format!("{question} Nobody is here to answer"))
                    .hint("say --yes if it is meant"),
            );
        }
        eprint!("{question} [y/N] ");
        std::io::stderr().flush().ok();
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).ok();
        match line.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::usage("nothing was done")),
        }
    }
}
