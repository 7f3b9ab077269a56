//! Tests over the public borders: real executables, a real Postgres, simulated agents and receivers.
//!
//! `make test` runs them. Those of `engine` measure, so nextest runs them one at a time (.config/nextest.toml).

mod agent;
mod agents_answers;
mod api;
mod bench;
mod canary;
mod certificates;
mod cli;
mod clock;
mod clusters;
mod crashes;
mod engine;
mod harness;
mod main_job;
mod migrations;
mod model;
mod notifications;
mod postgres;
mod providers;
mod replicas;
mod samples;
mod scenarios;
mod setup;
mod state_changes;
mod tools;
mod top;
mod up;
