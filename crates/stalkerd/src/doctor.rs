//! `stalkerd doctor`: what is owed, and whether everything that must be true is. It only reads.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::bail;
use stalker_db::Pools;
use stalker_db::doctor::{self, Finding};
use stalker_domain::outcome::{LEASE_MARGIN_S, TIMEOUT_MAX_S};

use crate::settings::Settings;
use crate::tools::{plain, with_database};

/// What the scheduler puts right within a second must not look broken.
const SECOND_LOOK: Duration = Duration::from_secs(2);
/// Seconds that somebody else's transaction may take. Our own sessions end theirs after 5.
const LONG_SNAPSHOT_S: i32 = 60;
/// Lines about one invariant; what is broken a thousand times is not told better by more.
const SHOWN: usize = 10;

/// What was found.
pub(crate) struct Report {
    /// To be printed.
    pub(crate) text: String,
    broken: usize,
}

impl Report {
    /// An error if anything is broken, after the text was printed.
    pub(crate) fn verdict(&self) -> anyhow::Result<()> {
        match self.broken {
            0 => Ok(()),
            1 => bail!("1 thing is broken"),
            n => bail!("{n} things are broken"),
        }
    }
}

/// What must be true.
#[derive(Clone, Copy)]
enum Invariant {
    Runs,
    Duties,
    LeasesOfChecks,
    LeasesOfNotifications,
    Taken,
    Resolves,
    Channels,
    Order,
    Hard,
    States,
    Floods,
    Clusters,
    Snapshots,
}

impl Invariant {
    const ALL: [Self; 13] = [
        Self::Runs,
        Self::Duties,
        Self::LeasesOfChecks,
        Self::LeasesOfNotifications,
        Self::Taken,
        Self::Resolves,
        Self::Channels,
        Self::Order,
        Self::Hard,
        Self::States,
        Self::Floods,
        Self::Clusters,
        Self::Snapshots,
    ];

    fn says(self) -> &'static str {
        match self {
            Self::Runs => "workers run what is due",
            Self::Duties => "schedulers do their duties",
            Self::LeasesOfChecks => "no check's lease is older than allowed",
            Self::LeasesOfNotifications => "no notification's lease is older than allowed",
            Self::Taken => "notifications are sent when they are due",
            Self::Resolves => "what is over is resolved within a minute",
            Self::Channels => "no channel is disabled",
            Self::Order => "notifications of a key are sent in their order",
            Self::Hard => "a check is hard exactly while its alert is open",
            Self::States => "every open alert has its check, host or cluster",
            Self::Floods => "floods agree with their members",
            Self::Clusters => {
                "other clusters let our key in, and are called what they call themselves"
            }
            Self::Snapshots => "nobody holds a transaction open for long",
        }
    }

    /// What to do when these are broken. Statements are for them only, and for what is still so when they are run:
    /// whoever reads this may run them as they stand.
    fn remedy(self, findings: &[Finding]) -> String {
        let ids: BTreeSet<i64> = findings.iter().map(|finding| finding.id).collect();
        let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
        let ids = ids.join(", ");
        match self {
            Self::Runs => "is a `stalkerd worker` running, and does its log complain? While worker.pause_file exists none runs checks".to_owned(),
            Self::Duties => "is a `stalkerd scheduler` running, and does its log complain?".to_owned(),
            Self::LeasesOfChecks => format!(
                "running schedulers and workers take over what is left; a lease far ahead means that the database's clock went back: \
                 `update check_state set leased_until = now() where leased_until > now() and check_id in ({ids})`"
            ),
            Self::LeasesOfNotifications => format!(
                "running workers take over what is left; a lease far ahead means that the database's clock went back: \
                 `update notifications set leased_until = now() where leased_until > now() and notification_id in ({ids})`"
            ),
            Self::Taken => "is a `stalkerd worker` running whose configuration has the channel?".to_owned(),
            Self::Resolves => "does the receiver answer? `stalkerd alerts explain ID` shows every attempt; close the incident there by hand if it must be".to_owned(),
            Self::Channels => "its receiver said that it is gone for good: give the channel other settings and restart the workers, or mend the receiver and \
                 ask for a test (POST /channels/NAME/test), which enables the channel if it is accepted; then `stalkerd notifications retry`".to_owned(),
            Self::Order => "compare the incident at the receiver with `stalkerd alerts`, and close or open it by hand; this is a fault of Stalker: report it".to_owned(),
            Self::Hard => format!(
                "this is a fault of Stalker: report it; `update check_state s set hard = exists (select from alerts a \
                 where a.check_id = s.check_id and a.kind = 'check' and a.closed_at is null) where s.check_id in ({ids})`"
            ),
            Self::States => format!(
                "this is a fault of Stalker: report it; `update alerts set closed_at = now(), close_reason = 'removed' \
                 where closed_at is null and alert_id in ({ids})`, and the scheduler resolves what was told"
            ),
            Self::Floods => "a running scheduler closes floods and hands members back; if it runs, this is a fault of Stalker: report it with `stalkerd alerts explain ID` of the flood".to_owned(),
            Self::Clusters => "if it is our key: ask for another one there, and set clusters.ID.key here; if it is the name: call it here what it calls \
                 itself; `stalker clusters list` shows whether it helped".to_owned(),
            Self::Snapshots => format!(
                "end it in its program, or by `select pg_terminate_backend(pid) from pg_stat_activity where pid in ({ids})`: \
                 nothing of the tables can be cleaned meanwhile"
            ),
        }
    }

    async fn ask(self, pools: &Pools) -> anyhow::Result<Vec<Finding>> {
        let pool = &pools.durable;
        let longest_s = i32::try_from(TIMEOUT_MAX_S + LEASE_MARGIN_S)?;
        Ok(match self {
            Self::Runs => doctor::no_runs(pool).await,
            Self::Duties => doctor::undone_duties(pool).await,
            Self::LeasesOfChecks => doctor::old_leases_of_checks(pool, longest_s).await,
            Self::LeasesOfNotifications => {
                doctor::old_leases_of_notifications(pool, longest_s).await
            }
            Self::Taken => doctor::untaken(pool).await,
            Self::Resolves => doctor::late_resolves(pool).await,
            Self::Channels => doctor::disabled_channels(pool).await,
            Self::Order => doctor::out_of_order(pool).await,
            Self::Hard => doctor::hard_without_alert(pool).await,
            Self::States => doctor::alerts_without_state(pool).await,
            Self::Floods => doctor::floods_against_members(pool).await,
            Self::Clusters => doctor::clusters_in_trouble(pool).await,
            Self::Snapshots => doctor::old_snapshots(pool, LONG_SNAPSHOT_S).await,
        }?)
    }
}

/// Looks at everything.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<Report> {
    with_database(settings, async |pools| {
        let mut report = Report {
            text: String::new(),
            broken: 0,
        };
        let mut suspects = Vec::new();
        for invariant in Invariant::ALL {
            let findings = invariant.ask(&pools).await?;
            suspects.push((invariant, findings));
        }
        if suspects.iter().any(|(_, findings)| !findings.is_empty()) {
            tokio::time::sleep(SECOND_LOOK).await;
        }
        for (invariant, mut findings) in suspects {
            if !findings.is_empty() {
                let first: BTreeSet<i64> = findings.iter().map(|finding| finding.id).collect();
                findings = invariant.ask(&pools).await?;
                findings.retain(|finding| first.contains(&finding.id));
            }
            match findings.is_empty() {
                true => report.ok(invariant)?,
                false => report.broken(invariant, &findings)?,
            }
        }
        report.list("owed now", &doctor::owed(&pools.durable).await?)?;
        let dead = doctor::dead_letters(&pools.durable).await?;
        report.list(
            "dead letters (`stalkerd notifications retry` tries them again)",
            &dead,
        )?;
        Ok(report)
    })
}

impl Report {
    fn ok(&mut self, invariant: Invariant) -> std::fmt::Result {
        writeln!(self.text, "ok      {}", invariant.says())
    }

    fn broken(&mut self, invariant: Invariant, findings: &[Finding]) -> std::fmt::Result {
        self.broken += 1;
        writeln!(self.text, "BROKEN  {}", invariant.says())?;
        self.tell(findings)?;
        writeln!(self.text, "        -> {}", invariant.remedy(findings))
    }

    fn list(&mut self, title: &str, findings: &[Finding]) -> std::fmt::Result {
        if findings.is_empty() {
            return writeln!(self.text, "{title}: nothing");
        }
        writeln!(self.text, "{title}:")?;
        self.tell(findings)
    }

    fn tell(&mut self, findings: &[Finding]) -> std::fmt::Result {
        for finding in findings.iter().take(SHOWN) {
            writeln!(self.text, "        {}", plain(&finding.what))?;
        }
        match findings.len() > SHOWN {
            true => writeln!(self.text, "        and more"),
            false => Ok(()),
        }
    }
}
