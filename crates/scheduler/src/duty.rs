//! The list of duties. A new one is a file, a line here, and a row in `duties`.

use sqlx::PgPool;
use stalker_db::{sessions, sign_ins};

use crate::{Known, clusters, owed, samples, state_changes, sweep};

/// A periodic task; its period stands in its row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Duty {
    Sweep,
    Owed,
    StateChanges,
    Samples,
    SampleHours,
    Sessions,
    Clusters,
}

impl Duty {
    /// The duty of this row.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "sweep" => Some(Self::Sweep),
            "owed" => Some(Self::Owed),
            "state_changes" => Some(Self::StateChanges),
            "samples" => Some(Self::Samples),
            "sample_hours" => Some(Self::SampleHours),
            "sessions" => Some(Self::Sessions),
            "clusters" => Some(Self::Clusters),
            _ => None,
        }
    }

    pub(crate) async fn perform(self, known: &Known, pool: &PgPool) -> anyhow::Result<()> {
        match self {
            Self::Sweep => sweep::perform(&known.steady_rate, pool).await,
            Self::Owed => owed::perform(&known.config, pool).await,
            Self::StateChanges => state_changes::perform(&known.config, pool).await,
            Self::Samples => samples::keep(&known.config, pool).await,
            Self::SampleHours => samples::roll_up(pool).await,
            Self::Sessions => {
                sessions::delete_dead(pool).await?;
                Ok(sign_ins::forget(pool).await?)
            }
            Self::Clusters => clusters::perform(&known.config, pool).await,
        }
    }
}
