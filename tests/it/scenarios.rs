//! What results mean, told as stories: what happens, and beside it the pages that people get (semantics.md, decisions 1
//! to 9). All on the real path, with a clock that the story moves; see [`stalker_tests::stage`].
//!
//! The settings are the defaults, unless a story says otherwise: 3 failing runs in a row are hard, and checks run once
//! a minute where minutes pass.

mod flapping;
mod floods;
mod hosts;
mod lives;
mod maintenance;

use std::time::Duration;

use stalker_domain::wire::RegisteredCheck;
use stalker_tests::stage::{PAGER, Stage, check};
use stalker_worker::config::{Match, Route};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Everything that no route before it has ended is told to this channel.
fn route(channel: &str) -> Route {
    Route {
        matches: Match::default(),
        channels: vec![channel.to_owned()],
        continues: false,
    }
}
