//! The terminal: taken for ourselves, and given back as it was, however this ends.

use std::io::{self, BufWriter, IsTerminal as _, Stdout, stdout};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{self, DisableBracketedPaste, EnableBracketedPaste};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use tokio::sync::mpsc;

use super::model::Event;

/// Events that wait to be looked at: more than a person types in the time that a screen is drawn.
const WAITING: usize = 256;

/// Bytes of a whole screen: it is written in one go, so that nobody sees half of it.
const FRAME: usize = 64 * 1024;

/// A terminal that is ours. Dropped, it is as it was before.
pub(super) struct Screen {
    pub(super) terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Screen {
    /// # Errors
    /// If there is no terminal, or it does not take part.
    pub(super) fn take() -> io::Result<Self> {
        if !stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(io::Error::other("this is no terminal"));
        }
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // what it says must be readable
            restore();
            before(panic);
        }));
        enable_raw_mode()?;
        let screen = Self {
            terminal: Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(
                FRAME,
                stdout(),
            )))?,
        };
        execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste, Hide)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Errors mean that the terminal is gone, and nothing can be done for it.
fn restore() {
    let _ = execute!(stdout(), DisableBracketedPaste, LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

/// Reads keys in a thread of its own, which ends with the process: reading cannot be interrupted. The channel closes when the
/// terminal is gone.
pub(super) fn keys() -> mpsc::Receiver<Event> {
    let (sender, receiver) = mpsc::channel(WAITING);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            let event = match event {
                event::Event::Key(key) => Event::Key(key),
                event::Event::Paste(text) => Event::Pasted(text),
                event::Event::Resize(columns, lines) => Event::Resized(columns, lines),
                _ => continue,
            };
            if sender.blocking_send(event).is_err() {
                break;
            }
        }
    });
    receiver
}
