//! Where log lines go.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::prelude::*;

use crate::settings::LogSettings;

/// Starts logging. A file that cannot be written to is a warning: monitoring goes on, and the lines go to standard
/// error.
pub fn init(settings: &LogSettings) {
    let problem = settings
        .path
        .as_deref()
        .and_then(|path| open(path).err().map(|error| (path, error)));
    let writer = match &settings.path {
        // Opened for each of its few lines, so that a rotation needs no signal.
        Some(path) if problem.is_none() => {
            let path = path.clone();
            BoxMakeWriter::new(move || -> Box<dyn Write> {
                open(&path).map_or_else(
                    |_| Box::new(io::stderr()) as Box<dyn Write>,
                    |file| Box::new(file),
                )
            })
        }
        _ => BoxMakeWriter::new(io::stderr),
    };
    // Libraries only when something is wrong with them; hyper warns of every idle connection that ends.
    let levels = Targets::new()
        .with_target("stalker_agent", settings.level)
        .with_target("hyper", Level::ERROR)
        // Says what the refused registration says.
        .with_target("rustls_platform_verifier", LevelFilter::OFF)
        .with_default(settings.level.min(Level::WARN));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(false);
    let subscriber = tracing_subscriber::registry().with(levels);
    if settings.is_json {
        subscriber.with(lines.json()).init();
    } else {
        subscriber.with(lines).init();
    }
    if let Some((path, error)) = problem {
        tracing::warn!(
            "cannot write to log_path {}: {error}; logging to standard error",
            path.display()
        );
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}
