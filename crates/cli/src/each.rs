//! One thing done to several, one after the other: with a count for whoever waits, and without losing what was done when
//! one of them fails.

use std::io::{IsTerminal as _, Write as _};

use serde_json::{Value, json};

use crate::failure::{Code, Failure};
use crate::output::{Answer, Done};

/// What something is done to.
#[derive(Debug)]
pub(crate) struct Thing {
    /// Its path in the API.
    pub(crate) path: String,
    /// How it is called here.
    pub(crate) name: String,
}

/// Does it to each; `done` is what is said of one to which it was done.
pub(crate) async fn each(
    things: &[Thing],
    done: &str,
    act: impl AsyncFn(&Thing) -> Result<Value, Failure>,
) -> Answer {
    let progress = Progress::new(things.len());
    let (mut well, mut failures, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (n, thing) in things.iter().enumerate() {
        progress.show(n, &thing.name);
        let Err(failure) = act(thing).await else {
            well.push(&thing.name);
            continue;
        };
        failed.push(json!({"name": thing.name, "why": failure.what()}));
        let is_gone = failure.code == Code::Unreachable;
        failures.push(failure.of(&thing.name));
        // what does not answer now will not answer for the next one
        if is_gone {
            failed.extend(
                things[n + 1..]
                    .iter()
                    .map(|thing| json!({"name": thing.name, "why": "not tried"})),
            );
            break;
        }
    }
    progress.clear();
    Answer::Done(Done {
        lines: well.iter().map(|name| format!("{name} {done}")).collect(),
        document: json!({"done": well, "failed": failed}),
        failures,
    })
}

/// How far it is: on a terminal, of what takes long enough to be asked.
struct Progress {
    total: usize,
    is_shown: bool,
}

impl Progress {
    fn new(total: usize) -> Self {
        Self {
            total,
            is_shown: total > 1 && std::io::stderr().is_terminal(),
        }
    }

    fn show(&self, done: usize, name: &str) {
        if self.is_shown {
            let name = crate::output::printable(name);
            eprint!("\r\x1b[K{done}/{} {name}", self.total);
            std::io::stderr().flush().ok();
        }
    }

    fn clear(&self) {
        if self.is_shown {
            eprint!("\r\x1b[K");
        }
    }
}
