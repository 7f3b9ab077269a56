//! The settings that decide when something is an alert, with the original's names and defaults (wire.md, section 5).

use crate::flapping::FlapPolicy;

/// Of a whole installation; a check may have its own `alert_threshold`, `flap_threshold` and `flap_window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Failing runs in a row that make a problem hard; unreachable outcomes in a row that make a host's.
    pub alert_threshold: u32,
    /// Seconds that a host must have been unreachable before its alert opens.
    pub host_down_after_s: u32,
    /// Flips within the window that make a check flap.
    pub flap_threshold: u32,
    /// Seconds in which flips are counted.
    pub flap_window_s: u32,
    /// Seconds of flapping after which that is told.
    pub flap_notify_after_s: u32,
    /// More alerts of one host than this within its window are a flood.
    pub host_threshold: u32,
    /// Seconds in which the alerts of one host are counted.
    pub host_window_s: u32,
    /// More alerts overall than this within its window are a flood; a flood of one host counts as one.
    pub flood_threshold: u32,
    /// Seconds in which all alerts are counted.
    pub flood_window_s: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            alert_threshold: 3,
            host_down_after_s: 30,
            flap_threshold: 5,
            flap_window_s: 1200,
            flap_notify_after_s: 3600,
            host_threshold: 5,
            host_window_s: 60,
            flood_threshold: 100,
            flood_window_s: 120,
        }
    }
}

impl Thresholds {
    /// When flips are too many, for hosts and for checks that do not say.
    #[must_use]
    pub fn flaps(&self) -> FlapPolicy {
        FlapPolicy {
            threshold: self.flap_threshold,
            window_s: self.flap_window_s,
            notify_after_s: self.flap_notify_after_s,
        }
    }
}
