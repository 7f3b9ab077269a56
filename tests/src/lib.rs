//! What the tests stand on: a database per test, the real executables as child processes, and simulated agents and
//! receivers around them.
//!
//! Two rules hold throughout. Nothing here sleeps except `until`: a test waits for a *state*, with a name and a
//! deadline. And nothing of the user's is touched: the database comes from `STALKER_TEST_DATABASE_URL`, the
//! executables from `STALKER_TEST_BIN`, servers listen on loopback at ports that the system chooses, and a child
//! sees none of our environment but what it needs to start.
//!
//! Everything panics instead of returning errors: a harness that cannot do its work is a failed test.

pub mod agent;
pub mod api;
pub mod database;
pub mod executables;
pub mod fixture;
pub mod line;
pub mod people;
pub mod private_postgres;
pub mod process;
pub mod receiver;
pub mod rounds;
pub mod seed;
pub mod server;
pub mod stage;
pub mod terminal;
pub mod unprivileged;
pub mod until;
