//! Every SQL statement of Stalker, one file per noun, one function per statement, checked at compile time.
//!
//! Everything that locks the same rows is reviewed in this one place. Two rules hold throughout:
//! * **Lock order**: checks by id, then hosts, other clusters, the lock of floods, alerts, notifications, each by id. Whoever writes many
//!   rows of one of these sorts them first; unordered batches deadlock.
//! * **The clock** is the database's `now()`: nothing here takes a time from the process that calls it.

pub mod alerts;
pub mod api_keys;
pub mod audit;
pub mod channel_tests;
pub mod channels;
pub mod checks;
pub mod claims;
pub mod clusters;
pub mod doctor;
pub mod duties;
pub mod explanations;
pub mod failpoint;
pub mod floods;
pub mod hosts;
pub mod maintenances;
pub mod notes;
pub mod notifications;
pub mod outcomes;
pub mod overrides;
pub mod partitions;
pub mod pins;
mod pools;
pub mod registrations;
pub mod replicas;
pub mod routes;
pub mod samples;
pub mod series;
pub mod sessions;
pub mod sign_ins;
pub mod state_changes;
pub mod stats;
pub mod suppressions;
pub mod sweep;
pub mod users;
mod wire;

pub use pools::{MIGRATOR, Pools, is_migrated, is_passing, migrate};
