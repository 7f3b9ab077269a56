//! The words and the rules of Stalker: pure, without IO, without a clock, and unable to fail.
//!
//! `wire` holds the shapes that leave the system, `status` and `outcome` what a run can say, `plugin_output` and
//! `perfdata` how a Nagios plugin says it, `state` what it means.

pub mod flapping;
pub mod outcome;
pub mod perfdata;
pub mod plugin_output;
pub mod state;
pub mod status;
pub mod thresholds;
pub mod wire;
