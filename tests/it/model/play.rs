//! Plays a case on the real path, and compares after each event with the reference.

mod act;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sqlx::Row;
use stalker_db::doctor;
use stalker_tests::line::{Fault, Line};
use stalker_tests::stage::{Stage, http_channel};
use stalker_tests::until::until;
use stalker_worker::config::{Match, Route};

use super::clock;
use super::reference::{
    BACKUP, CHANNELS, CHAT, CheckName, Happened, Kind, Outcome, PAGER, Reference, Seen, Sent, World,
};
use super::rules::{FLAP_WINDOW, REPEAT, Time, thresholds};
use super::steps::{Case, HOSTS, all_checks, checks_of, first_priority};

/// Recorders and the most that each records together, where the test records.
const RECORDERS: (usize, i32) = (3, 4);
/// Longer than any pause between two tries.
const RETRY: Time = 340;

pub(super) struct Play {
    stage: Stage,
    reference: Reference,
    lines: BTreeMap<&'static str, Line>,
    world: World,
    /// What scripts answer, by check.
    answers: BTreeMap<CheckName, u8>,
    priorities: BTreeMap<CheckName, u8>,
    /// What the agents register.
    registered: BTreeSet<CheckName>,
    down: BTreeSet<&'static str>,
    direct: bool,
    began: String,
    pages_seen: usize,
    paged: BTreeSet<i64>,
}

/// Plays it to its end, after which everything is over.
pub(super) async fn play(case: &Case) -> Result<Happened, String> {
    let mut play = Play::new(case.direct).await;
    for step in &case.steps {
        play.step(step)
            .await
            .map_err(|why| format!("at {} s, in {step:?}: {why}", play.reference.now))?;
    }
    play.end()
        .await
        .map_err(|why| format!("at {} s, at the end: {why}", play.reference.now))?;
    Ok(play.reference.happened)
}

impl Play {
    async fn new(direct: bool) -> Self {
        let mut lines = BTreeMap::new();
        for channel in CHANNELS {
            lines.insert(channel, Line::new().await);
        }
        let configure = |config: &mut stalker_worker::Config| {
            config.thresholds = thresholds();
            config.notifications_expiration_s = u32::try_from(REPEAT).expect("it is small");
            config.routes = routes();
            for (name, channel) in &mut config.channels {
                *channel = http_channel(&lines[name.as_str()].url());
                channel.fallback = (name == PAGER).then(|| BACKUP.to_owned());
            }
        };
        let mut stage = if direct {
            Stage::direct(&CHANNELS, configure).await
        } else {
            Stage::with(&CHANNELS, configure).await
        };
        if direct {
            stage.record_concurrently(RECORDERS.0, RECORDERS.1);
        }
        for (channel, line) in &lines {
            line.lead_to(stage.receivers[*channel].url());
        }
        let began = clock::slow_down(stage.pool()).await;
        stage.start_worker();
        stage.start_scheduler();
        let mut play = Self {
            stage,
            reference: Reference::default(),
            lines,
            world: World::default(),
            answers: BTreeMap::new(),
            priorities: all_checks()
                .into_iter()
                .map(|check| (check.clone(), first_priority(&check)))
                .collect(),
            registered: all_checks().into_iter().collect(),
            down: BTreeSet::new(),
            direct,
            began,
            pages_seen: 0,
            paged: BTreeSet::new(),
        };
        for (hostname, n) in HOSTS {
            play.stage.host_with(hostname, n).await;
            play.register(hostname).await;
        }
        play
    }

    /// Everything is mended, first the ways and then the checks.
    async fn end(&mut self) -> Result<(), String> {
        for channel in CHANNELS {
            self.splice(channel).await;
        }
        for (hostname, _) in HOSTS {
            self.come_back(hostname).await;
        }
        // an event of its own: whom it sets free joins the floods of now, and not those that the runs below end
        self.begin();
        self.end_maintenances().await;
        self.compare().await?;
        for check in all_checks() {
            self.resume(&check).await?;
        }
        self.run_all().await?;
        self.advance(FLAP_WINDOW + 10).await?;
        self.retry().await?;
        self.reference.nothing_is_forgotten()?;

        self.answers.clear();
        self.stage.recover(&all_checks());
        self.run_all().await?;
        self.advance(FLAP_WINDOW + 10).await?;
        self.retry().await?;
        self.reference.all_is_over()?;
        let waiting = self
            .stage
            .count("select count(*) from notifications where state in ('pending', 'sending')")
            .await;
        let deadlocks = self
            .stage
            .count("select deadlocks from pg_stat_database where datname = current_database()")
            .await;
        if (waiting, deadlocks) != (0, 0) {
            return Err(format!(
                "{waiting} notifications wait, and there were {deadlocks} deadlocks"
            ));
        }
        Ok(())
    }

    /// Until nothing waits for another try: receivers may have answers left that are no good.
    async fn retry(&mut self) -> Result<(), String> {
        const MOST: usize = 30;
        let waiting = "select count(*) from notifications n join alerts a using (alert_id)
                       where n.state in ('pending', 'sending') and (n.kind = 'resolve' or suppression(a) is null)";
        for _ in 0..MOST {
            if self.stage.count(waiting).await == 0 {
                return Ok(());
            }
            self.advance(RETRY).await?;
        }
        Err(format!(
            "{} notifications wait still",
            self.stage.count(waiting).await
        ))
    }

    /// An event is over once everything is at rest: is it as it must be?
    async fn compare(&mut self) -> Result<(), String> {
        self.stage.rest().await;
        let pages = self.stage.received().split_off(self.pages_seen);
        self.pages_seen += pages.len();
        let sent: Vec<Sent> = pages
            .iter()
            .map(|page| Sent {
                channel: page.channel.clone(),
                id: page
                    .key
                    .rsplit(':')
                    .next()
                    .and_then(|id| id.parse().ok())
                    .expect("a key ends with its episode"),
                is_resolve: page.kind == "resolve",
                answer: page.answer,
            })
            .collect();
        self.paged.extend(sent.iter().map(|page| page.id));
        let seen = self.seen().await;
        let all_is_seen = self.world.cut.is_empty();
        self.reference.reconcile(&seen, &self.paged, all_is_seen)?;
        self.reference.tell(&sent, &self.world)?;
        self.world.senders_died = false;
        self.examine().await
    }

    /// What the system itself says of its tables.
    async fn examine(&self) -> Result<(), String> {
        let pool = self.stage.pool();
        let findings = [
            doctor::hard_without_alert(pool).await,
            doctor::alerts_without_state(pool).await,
            doctor::floods_against_members(pool).await,
            doctor::out_of_order(pool).await,
        ];
        for findings in findings {
            let findings = findings.map_err(|error| error.to_string())?;
            if !findings.is_empty() {
                return Err(format!("the doctor finds: {findings:?}"));
            }
        }
        Ok(())
    }

    async fn seen(&self) -> Vec<Seen> {
        let rows = sqlx::query(
            "select *, extract(epoch from opened_at - $1::text::timestamptz)::double precision as opened_at_s, counted_at is not null as is_counted from alerts order by alert_id",
        )
        .bind(&self.began)
        .fetch_all(self.stage.pool())
        .await
        .expect("alerts can be read");
        let seen = rows.iter().map(|row| Seen {
            id: row.get("alert_id"),
            kind: match row.get("kind") {
                "check" => Kind::Check,
                "host" => Kind::Host,
                _ => Kind::Flood,
            },
            hostname: row.get("hostname"),
            check: row.get("check_name"),
            parent: row.get("parent_id"),
            is_open: row.get::<Option<String>, _>("close_reason").is_none(),
            opened_at: whole(row.get("opened_at_s")),
            is_counted: row.get("is_counted"),
        });
        seen.collect()
    }

    /// When these checks last ran.
    async fn ran_at(&self, checks: &[CheckName]) -> BTreeMap<CheckName, Time> {
        let rows: Vec<(String, f64)> = sqlx::query_as(
            "select hostname || '/' || name, extract(epoch from last_at - $1::text::timestamptz)::double precision
             from checks join hosts using (host_id) join check_state using (check_id)
             where last_at is not null and hostname || '/' || name = any ($2)",
        )
        .bind(&self.began)
        .bind(checks)
        .fetch_all(self.stage.pool())
        .await
        .expect("checks can be read");
        rows.into_iter()
            .map(|(check, at)| (check, whole(at)))
            .collect()
    }

    fn outcomes(&self, checks: &[CheckName]) -> BTreeMap<CheckName, Outcome> {
        let outcome = |check: &CheckName| {
            let is_down = self
                .down
                .iter()
                .any(|host| check.starts_with(&format!("{host}/")));
            let status = self.answers.get(check).copied().unwrap_or(0);
            if is_down {
                Outcome::Unreachable
            } else {
                Outcome::Answered(status)
            }
        };
        checks
            .iter()
            .map(|check| (check.clone(), outcome(check)))
            .collect()
    }

    /// The host registers what it has to; what is new runs.
    async fn register(&mut self, hostname: &str) {
        let priorities = self.priorities.clone();
        let registered = self.registered.clone();
        let checks = checks_of(hostname);
        let news: Vec<CheckName> = checks
            .iter()
            .filter(|check| registered.contains(*check) && !self.reference.is_registered(check))
            .cloned()
            .collect();
        self.stage
            .register(hostname, |registration| {
                registration.checks.clear();
                for check in checks.iter().filter(|check| registered.contains(*check)) {
                    let (_, name) = check.split_once('/').expect("a check is called HOST/NAME");
                    let mut definition = stalker_tests::stage::check();
                    definition.priority = Some(priorities[check].into());
                    registration.checks.insert(name.to_owned(), definition);
                }
            })
            .await;
        for check in checks_of(hostname) {
            if registered.contains(&check) {
                self.reference.register(&check, priorities[&check]);
            } else {
                self.reference.remove(&check);
            }
        }
        let outcomes = self.outcomes(&news);
        self.reference.record(&outcomes);
    }
}

/// What happens on web1 is told the chat too; everything the pager.
fn routes() -> Vec<Route> {
    let of_web1 = Match {
        host: Some(vec!["web1".to_owned()]),
        ..Match::default()
    };
    let to = |channel: &str| vec![channel.to_owned()];
    vec![
        Route {
            matches: of_web1,
            channels: to(CHAT),
            continues: true,
        },
        Route {
            matches: Match::default(),
            channels: to(PAGER),
            continues: false,
        },
    ]
}

/// The clock of a case moves by whole steps, and next to nothing in between.
fn whole(seconds: f64) -> Time {
    const STEP: Time = 10;
    (seconds as Time) / STEP * STEP
}

fn seconds(time: Time) -> Duration {
    Duration::from_secs(u64::try_from(time).expect("time goes forward"))
}
