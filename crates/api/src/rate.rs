//! How many requests one address (of IPv6, one network) may make: a net against loops that run wild, not a fence against an army. Each replica counts
//! for itself.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::App;
use crate::client::Client;
use crate::error::Error;

/// Seconds' worth of requests that may come at once.
const BURST_S: u32 = 10;
/// Addresses that were quiet are forgotten after so many requests.
const FORGET_EVERY: u32 = 10_000;

/// What each address has left.
pub(crate) struct Rates {
    limiter: Option<DefaultKeyedRateLimiter<IpAddr>>,
    counted: AtomicU32,
}

impl Rates {
    /// None for any number.
    pub(crate) fn new(requests_per_s: Option<NonZeroU32>) -> Self {
        let quota = requests_per_s.map(|per_s| {
            Quota::per_second(per_s)
                .allow_burst(per_s.saturating_mul(NonZeroU32::MIN.saturating_add(BURST_S - 1)))
        });
        Self {
            limiter: quota.map(RateLimiter::keyed),
            counted: AtomicU32::new(0),
        }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// If there were too many.
    fn count(&self, address: IpAddr) -> Result<(), Error> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        let counted = self.counted.fetch_add(1, Ordering::Relaxed);
        if counted.is_multiple_of(FORGET_EVERY) {
            limiter.retain_recent();
        }
        limiter.check_key(&address).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            Error::TooMany(wait.as_secs() + 1)
        })
    }
}

/// Refuses what is too much. What balancers and supervisors ask is never too much.
pub(crate) async fn limit(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_of_health = ["/healthz", "/readyz"].contains(&request.uri().path());
    let address = Client::in_extensions(request.extensions()).network();
    let counted = match is_of_health {
        true => Ok(()),
        false => app.rates.count(address),
    };
    match counted {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own() {
        let rates = Rates::new(NonZeroU32::new(1));
        let [ann, bob] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().expect("an address"));
        let granted = (0..20).filter(|_| rates.count(ann).is_ok()).count();
        assert_eq!(granted, 10);
        assert!(matches!(rates.count(ann), Err(Error::TooMany(1..=2))));
        assert!(rates.count(bob).is_ok());
        let without = Rates::new(None);
        assert!((0..20).all(|_| without.count(ann).is_ok()));
    }
}
