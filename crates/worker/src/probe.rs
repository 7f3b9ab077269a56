//! How an outcome is obtained, one file per check kind. Always an outcome: refused, timed out and malformed are
//! outcomes with text, not errors.

mod agent;
mod certificates;
mod directory;

use std::time::Duration;

use sqlx::PgPool;
use stalker_db::claims::ClaimedCheck;
use stalker_domain::outcome::{Outcome, Verdict};
use stalker_domain::status::Status;

use crate::config::Config;

/// What a probe brought.
#[derive(Debug)]
pub struct Probed {
    /// The outcome.
    pub outcome: Outcome,
    /// The certificate that an agent without a pin showed.
    pub first_seen_cert_sha256: Option<String>,
}

/// How a worker obtains outcomes: [`Probes`], but for who measures the worker without the network.
pub trait Probe: Send + Sync + 'static {
    /// None if this worker itself could not make the call: then nothing is known of host and check.
    fn run(&self, check: &ClaimedCheck) -> impl Future<Output = Option<Probed>> + Send;
}

/// All kinds of probes, with what they share.
pub struct Probes {
    agent: agent::AgentProbe,
}

impl Probes {
    /// `pool` is asked whose certificate it is that the wrong agent shows.
    ///
    /// # Errors
    /// If the TLS client cannot be set up.
    pub fn new(config: &Config, pool: PgPool) -> anyhow::Result<Self> {
        Ok(Self {
            agent: agent::AgentProbe::new(config, pool)?,
        })
    }
}

impl Probe for Probes {
    async fn run(&self, check: &ClaimedCheck) -> Option<Probed> {
        match check.kind.as_str() {
            "agent" => self.agent.run(check).await,
            other => Some(Probed {
                outcome: Outcome::without_output(
                    Verdict::Answered(Status::Unknown),
                    &format!(
                        "UNKNOWN: this worker does not know checks of kind {other}; is it older than the database?"
                    ),
                    Duration::ZERO,
                ),
                first_seen_cert_sha256: None,
            }),
        }
    }
}
