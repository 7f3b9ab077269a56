//! A terminal with a person before it: an executable in a pseudo-terminal, what it has drawn, and keys that are pressed.

use std::io::{Read as _, Write};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::until::{until, until_seen};

/// For whatever is to be seen: an executable that starts, and a server that answers, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// An executable in a terminal of its own. Dropped, it is killed.
pub struct Terminal {
    screen: Arc<Mutex<vt100::Parser>>,
    keyboard: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal")
            .field("screen", &self.screen())
            .finish_non_exhaustive()
    }
}

impl Terminal {
    /// Starts `command` in a terminal of this size. It sees the variables that were set on the command and `TERM`, and
    /// nothing else of our environment: [`crate::process::command`] makes such commands.
    ///
    /// # Panics
    /// If there is no terminal to be had, or the executable does not start.
    #[must_use]
    pub fn start(command: &Command, rows: u16, cols: u16) -> Self {
        let pair = native_pty_system()
            .openpty(size(rows, cols))
            .expect("the system gives a pseudo-terminal");
        let mut builder = CommandBuilder::new(command.get_program());
        builder.env_clear();
        builder.env("TERM", "xterm-256color");
        builder.args(command.get_args());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                builder.env(name, value);
            }
        }
        if let Some(folder) = command.get_current_dir() {
            builder.cwd(folder);
        }
        let child = pair
            .slave
            .spawn_command(builder)
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, cols, 0)));
        let mut reader = pair
            .master
            .try_clone_reader()
            .expect("a terminal can be read");
        let drawn = Arc::clone(&screen);
        // ends with the terminal's last writer
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                locked(&drawn).process(&buffer[..n]);
            }
        });
        Self {
            screen,
            keyboard: pair
                .master
                .take_writer()
                .expect("a terminal has a keyboard"),
            child,
            master: pair.master,
        }
    }

    /// What is to be seen now: its lines without the blanks at their ends, without the empty lines at the end.
    #[must_use]
    pub fn screen(&self) -> String {
        let parser = locked(&self.screen);
        let screen = parser.screen();
        let lines = screen.rows(0, screen.size().1);
        let lines: Vec<_> = lines.map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n").trim_end().to_owned()
    }

    /// Whether `text`, on one line of the screen, is drawn in another colour than the terminal's own.
    ///
    /// # Panics
    /// If it is not on the screen.
    #[must_use]
    pub fn is_coloured(&self, text: &str) -> bool {
        let parser = locked(&self.screen);
        let screen = parser.screen();
        let (row, column) = screen
            .rows(0, screen.size().1)
            .enumerate()
            .find_map(|(row, line)| {
                let before = line.find(text)?;
                Some((row, line[..before].chars().count()))
            })
            .unwrap_or_else(|| panic!("{text:?} is on the screen:\n{}", screen.contents()));
        let place = |n: usize| u16::try_from(n).expect("screens are small");
        screen
            .cell(place(row), place(column))
            .is_some_and(|cell| cell.fgcolor() != vt100::Color::Default)
    }

    /// Whether it is on the screen that programs draw on, and not on the one with the shell's lines.
    #[must_use]
    pub fn is_on_alternate_screen(&self) -> bool {
        locked(&self.screen).screen().alternate_screen()
    }

    /// Whether the cursor is to be seen.
    #[must_use]
    pub fn has_cursor(&self) -> bool {
        !locked(&self.screen).screen().hide_cursor()
    }

    /// The executable's process id.
    ///
    /// # Panics
    /// If it has ended and was waited for.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.process_id().expect("it is running")
    }

    /// Waits until the screen is as it should be, and returns it.
    ///
    /// # Panics
    /// If it never is, with what is to be seen instead.
    pub async fn wait_for(&self, what: &str, is_right: impl Fn(&str) -> bool) -> String {
        until_seen(
            what,
            PATIENCE,
            async || self.screen(),
            |screen| is_right(screen),
        )
        .await
    }

    /// Presses the keys of `text`; `\r` is Enter, `\u{1b}` Escape, `\u{3}` Ctrl-C.
    ///
    /// # Panics
    /// If the terminal is gone.
    pub fn type_text(&mut self, text: &str) {
        self.keyboard
            .write_all(text.as_bytes())
            .and_then(|()| self.keyboard.flush())
            .expect("the terminal takes what is typed");
    }

    /// Changes the size of the window.
    ///
    /// # Panics
    /// If the terminal is gone.
    pub fn resize(&self, rows: u16, cols: u16) {
        locked(&self.screen).screen_mut().set_size(rows, cols);
        self.master
            .resize(size(rows, cols))
            .expect("the terminal takes another size");
    }

    /// Waits for the end of the executable; gives its exit code.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn ended(&mut self) -> u32 {
        let child = &mut self.child;
        let status = until("it ends", PATIENCE, async || {
            child.try_wait().expect("a child can be waited for")
        })
        .await;
        status.exit_code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // an error means that it has ended already
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the terminal's screen:\n{}", self.screen());
        }
    }
}

fn locked(screen: &Mutex<vt100::Parser>) -> MutexGuard<'_, vt100::Parser> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn size(rows: u16, cols: u16) -> PtySize {
    PtySize {
        rows,
        cols,
        pixel_width: 0,
        pixel_height: 0,
    }
}
