//! `stalker top`: what is failing in all clusters, live, and what can be done about it.
//!
//! Events (keys, answers, time) change a model, the model says what is to be asked and done, and the screen is drawn from the
//! model. Only this file and `fetch` and `terminal` touch the world; all else is pure.

mod actions;
mod fetch;
mod input;
mod model;
mod rows;
mod terminal;
#[cfg(test)]
mod tests;
mod update;
mod view;
mod wire;

use std::process::ExitCode;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::client::Client;
use crate::context::{ServerArgs, user_of_this_system};
use crate::failure::Failure;
use crate::times;
use model::{Event, Model, Now, Request};
use terminal::Screen;
use view::Look;

/// While nothing happens, ages are brought up to date this often; while something is waited for, the spinner turns.
const IDLE: Duration = Duration::from_secs(1);
const BUSY: Duration = Duration::from_millis(250);
/// Answers that wait to be looked at.
const WAITING: usize = 64;

/// How it is started.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Ask for news every so many seconds
    #[arg(short, long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3600))]
    refresh: u32,
    /// Own checks and write notes in this name; otherwise in that of who is signed in, or of this machine's user
    #[arg(short = 'U', long, value_name = "NAME")]
    user: Option<String>,
}

impl Args {
    /// Shows it until its user has seen enough.
    ///
    /// # Errors
    /// If there is no terminal, or the server knows us not.
    pub(crate) async fn run(
        &self,
        server: &ServerArgs,
        is_coloured: bool,
    ) -> Result<ExitCode, Failure> {
        let client = Client::new(server.server()?)?;
        let no_terminal = |error: std::io::Error| {
            Failure::usage(format!("cannot use the whole screen: {error}"))
                .hint("`stalker alerts list` prints what is failing")
        };
        let mut signals = Signals::new().map_err(no_terminal)?;
        let mut screen = Screen::take().map_err(no_terminal)?;
        let model = self
            .show(&client, &mut screen, &mut signals, Look { is_coloured })
            .await;
        drop(screen);
        let feed = model.map_err(no_terminal)?.own_feed().clone();
        match feed.trouble {
            // it never let us in
            Some(trouble) if feed.as_of.is_none() => match trouble.status {
                Some(status @ (401 | 403)) => Err(Failure::refused(status, trouble.words).hint(
                    "sign in with `stalker login`, or ask an admin for a key or a user with access",
                )),
                _ => Err(Failure::unreachable(trouble.words)),
            },
            _ => Ok(ExitCode::SUCCESS),
        }
    }

    async fn show(
        &self,
        client: &Client,
        screen: &mut Screen,
        signals: &mut Signals,
        look: Look,
    ) -> std::io::Result<Model> {
        let began = Instant::now();
        let now = || Now {
            unix: times::from_now(TimeDelta::zero()),
            elapsed: began.elapsed(),
        };
        let size = screen.terminal.size()?;
        let mut model = Model::new(
            self.user.clone().unwrap_or_default(),
            client.url().to_owned(),
            Duration::from_secs(self.refresh.into()),
            (size.width, size.height),
        );
        let mut keys = terminal::keys();
        let (sender, mut answers) = mpsc::channel(WAITING);
        if self.user.is_none() {
            let machine_user = user_of_this_system().unwrap_or_default();
            tokio::spawn(fetch::whoami(client.clone(), machine_user, sender.clone()));
        }
        let mut event = Event::Tick;
        loop {
            for request in model.update(event, now()) {
                match request {
                    Request::Redraw => screen.terminal.clear()?,
                    request => drop(tokio::spawn(fetch::run(
                        client.clone(),
                        request,
                        sender.clone(),
                    ))),
                }
            }
            if model.is_over {
                return Ok(model);
            }
            // what is drawn is drawn for this size, whether an event has told of it yet or not
            let size = screen.terminal.size()?;
            if model.size != (size.width, size.height) {
                event = Event::Resized(size.width, size.height);
                continue;
            }
            screen
                .terminal
                .draw(|frame| view::draw(frame, &model, look))?;
            let rest = if model.is_busy() { BUSY } else { IDLE };
            event = tokio::select! {
                biased;
                () = signals.any() => return Ok(model),
                key = keys.recv() => match key {
                    Some(key) => key,
                    None => return Ok(model),
                },
                Some(answer) = answers.recv() => answer,
                () = tokio::time::sleep(rest) => Event::Tick,
            };
        }
    }
}

/// What asks us to end.
struct Signals([Signal; 4]);

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self([
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
            signal(SignalKind::quit())?,
        ]))
    }

    async fn any(&mut self) {
        let [terminate, interrupt, hangup, quit] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
            _ = quit.recv() => {}
        }
    }
}
