//! Plays a case with real workers, schedulers and receivers, mends everything, and looks.

use std::time::{Duration, Instant};

use stalker_db::notifications::dead_letters;
use stalker_tests::line::Line;
use stalker_tests::stage::{Stage, http_channel};

use super::*;
use crate::notifications::{PATIENCE, rows};

/// Longer than any pause between two tries.
const RETRY: Duration = Duration::from_secs(340);
/// Longer than the lease of a sender.
const LEASE: Duration = Duration::from_secs(40);
/// In a burst a trigger waits so long.
const HOLD: Duration = Duration::from_secs(11);
/// In which what can be told is under way.
const UNDER_WAY: Duration = Duration::from_secs(3);
/// Until everything has come: five tries, and a dead sender.
const ROUNDS: usize = 12;
/// All that waits and is not held back.
const WAITING: &str = "select count(*) from notifications where state in ('pending', 'sending')";

struct Play<'a> {
    case: &'a Case,
    stage: Stage,
    lines: BTreeMap<&'static str, Line>,
    /// What happens on the way to each.
    faults: BTreeMap<&'static str, Fault>,
    /// Messages that were under way when their senders were killed.
    killed_with: i64,
}

pub(super) async fn play(case: &Case) -> Result<Happened, String> {
    let mut play = Play::new(case).await;
    for step in &case.steps {
        play.step(step).await?;
    }
    play.mend_ways().await;
    play.drain().await?;
    play.whoever_had_to_be_told_was_told().await?;

    play.stage.recover(&all_checks());
    play.stage.run_all().await;
    play.stage.rest().await;
    play.drain().await?;
    play.nothing_is_left().await?;
    play.whoever_heard_of_it_heard_the_end().await?;
    Ok(play.happened().await)
}

impl<'a> Play<'a> {
    async fn new(case: &'a Case) -> Self {
        let mut lines = BTreeMap::new();
        for channel in CHANNELS {
            lines.insert(channel, Line::new().await);
        }
        let mut stage = Stage::direct(&CHANNELS, |config| {
            config.thresholds.alert_threshold = 1;
            // nothing here is about flapping or floods
            config.thresholds.flap_threshold = 1000;
            config.routes = case.routes();
            for (name, channel) in &mut config.channels {
                *channel = http_channel(&lines[name.as_str()].url());
                channel.fallback = case.fallback(name).map(str::to_owned);
            }
        })
        .await;
        for (channel, line) in &lines {
            line.lead_to(stage.receivers[*channel].url());
        }
        stage.start_worker();
        for host in HOSTS {
            stage.host_with(host, PRIORITIES.len()).await;
            stage
                .register(host, |registration| {
                    for (check, priority) in registration.checks.values_mut().zip(PRIORITIES) {
                        check.priority = Some(priority.into());
                    }
                })
                .await;
        }
        let faults = CHANNELS.map(|channel| (channel, Fault::None)).into();
        Self {
            case,
            stage,
            lines,
            faults,
            killed_with: 0,
        }
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Break(checks) => {
                self.stage.fail(&named(checks));
                self.stage.run(&named(checks)).await;
            }
            Step::Mend(checks) => {
                self.stage.recover(&named(checks));
                self.stage.run(&named(checks)).await;
            }
            Step::Answers(channel, answers) => {
                self.stage.receivers[*channel].answer_next(answers.iter().copied());
            }
            Step::Way(channel, fault) => {
                self.faults.insert(channel, *fault);
                self.way(channel, *fault).await;
            }
            Step::Disable(channel) => {
                sqlx::query("update channels set disabled_at = now(), disabled_why = 'gone' where name = $1 and disabled_at is null")
                    .bind(*channel)
                    .execute(self.stage.pool())
                    .await
                    .expect("a channel can be disabled");
            }
            Step::BreakAndKill(checks) => self.break_and_kill(checks).await,
            Step::Wait(seconds) => self.stage.advance(Duration::from_secs(*seconds)).await,
        }
        self.stage.rest().await;
        self.disabled_channels_fall_back().await
    }

    async fn way(&mut self, channel: &str, fault: Fault) {
        let line = self.lines.get_mut(channel).expect("each has a line");
        line.becomes(fault).await;
    }

    /// Whoever can be told has the message, and no sender knows when it is killed.
    async fn break_and_kill(&mut self, checks: &[usize]) {
        let well = self
            .faults
            .iter()
            .filter(|(_, fault)| **fault == Fault::None);
        let well: Vec<&str> = well.map(|(channel, _)| *channel).collect();
        for channel in &well {
            self.way(channel, Fault::HoldsAnswer).await;
        }
        self.stage.fail(&named(checks));
        self.stage.run(&named(checks)).await;
        // a burst waits so long for a flood
        self.stage.database().advance(HOLD).await;
        let sending = "select count(*) from notifications where state = 'sending'";
        let by = Instant::now() + UNDER_WAY;
        let mut under_way = 0;
        // it may be that nobody is to be told
        while under_way == 0 && Instant::now() < by {
            tokio::task::yield_now().await;
            under_way = self.stage.count(sending).await;
        }
        self.killed_with += under_way;
        for worker in self.stage.workers.split_off(0) {
            worker.kill();
        }
        for channel in &well {
            self.way(channel, Fault::None).await;
        }
        self.stage.start_worker();
        self.stage.start_worker();
        // A claim that a dead worker had sent may have been executed after its death, and have a lease of now.
        for _ in 0..ROUNDS {
            self.stage.database().advance(LEASE).await;
            let by = Instant::now() + UNDER_WAY;
            while Instant::now() < by {
                if self.stage.count(sending).await == 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// What waits for a channel that is disabled is its fallback's at once: the scheduler sees it within a second.
    async fn disabled_channels_fall_back(&self) -> Result<(), String> {
        let by = Instant::now() + PATIENCE;
        loop {
            let forgotten = rows(
                self.stage.pool(),
                "select format('alert %s: %s is disabled, and %s was not told', n.alert_id, c.name, c.fallback)
                 from notifications n join channels c on c.name = n.channel join alerts a using (alert_id)
                 where c.disabled_at is not null and c.fallback is not null and n.state = 'pending' and n.kind = 'trigger' and a.closed_at is null
                   and not exists (select from alert_targets t where t.alert_id = n.alert_id and t.channel = c.fallback)",
            )
            .await;
            match forgotten.first() {
                None => return Ok(()),
                Some(why) if Instant::now() > by => return Err(why.clone()),
                Some(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Receivers are well again, and all that people must mend is mended.
    async fn mend_ways(&mut self) {
        for channel in CHANNELS {
            self.way(channel, Fault::None).await;
        }
        sqlx::query("update channels set disabled_at = null, disabled_why = null")
            .execute(self.stage.pool())
            .await
            .expect("channels can be enabled");
        self.stage.rest().await;
    }

    /// Until nothing waits. Receivers may have answers left that are no good; what they refuse is tried again.
    async fn drain(&mut self) -> Result<(), String> {
        for _ in 0..ROUNDS {
            self.stage.rest().await;
            let mut conn = self.stage.pool().acquire().await.expect("a connection");
            let retried = dead_letters::retry(&mut conn, None, None)
                .await
                .expect("dead letters can be tried again");
            if retried.is_empty() && self.stage.count(WAITING).await == 0 {
                return Ok(());
            }
            self.stage.advance(RETRY).await;
        }
        Err(format!(
            "{} notifications wait still",
            self.stage.count(WAITING).await
        ))
    }

    /// While problems last and everything works: the routes' channels and the fallbacks know of each.
    async fn whoever_had_to_be_told_was_told(&self) -> Result<(), String> {
        type Row = (i64, String, String, i16, Vec<String>, Vec<String>);
        let alerts: Vec<Row> = sqlx::query_as(
            "select alert_id, hostname, check_name, priority,
                    array(select channel from alert_targets t where t.alert_id = a.alert_id and t.why not like 'fallback of %'),
                    array(select channel from notifications n where n.alert_id = a.alert_id and n.kind = 'trigger' and n.state = 'accepted')
             from alerts a where closed_at is null",
        )
        .fetch_all(self.stage.pool())
        .await
        .expect("alerts can be read");
        for (id, hostname, check, priority, routed, told) in alerts {
            let priority = u8::try_from(priority).expect("a priority is small");
            let what = format!("alert {id} of {hostname}/{check}");
            if priority == 0 {
                if !told.is_empty() {
                    return Err(format!("{what} has priority 0, and is told to {told:?}"));
                }
                continue;
            }
            let concerned = self.case.concerned(&hostname, &check, priority);
            let routed: BTreeSet<&str> = routed.iter().map(String::as_str).collect();
            if routed != concerned {
                return Err(format!("{what} concerns {concerned:?}, not {routed:?}"));
            }
            if let Some(untold) = concerned
                .iter()
                .find(|name| !told.iter().any(|told| told == *name))
            {
                return Err(format!("{what} is told to {told:?}, and not to {untold}"));
            }
        }
        self.fallbacks_are_told().await
    }

    /// What a channel refused for good, or failed to take three times, while the problem lasted is its fallback's; and nothing
    /// else is.
    async fn fallbacks_are_told(&self) -> Result<(), String> {
        let refused: Vec<(i64, String)> = sqlx::query_as(
            "select n.alert_id, n.channel from notifications n join attempts t using (notification_id) join alerts a using (alert_id)
             where n.kind = 'trigger' and t.error is not null and t.error <> 'its sender died' and t.http_status is distinct from 429
               and (a.closed_at is null or t.ended_at < a.closed_at)
             group by n.alert_id, n.channel having bool_or(t.http_status = 400) or count(*) >= 3",
        )
        .fetch_all(self.stage.pool())
        .await
        .expect("attempts can be read");
        let targets: Vec<(i64, String, String)> =
            sqlx::query_as("select alert_id, channel, why from alert_targets")
                .fetch_all(self.stage.pool())
                .await
                .expect("targets can be read");
        let is_target = |id: i64, channel: &str| {
            targets
                .iter()
                .any(|(alert_id, name, _)| *alert_id == id && name == channel)
        };
        for (id, channel) in &refused {
            if let Some(fallback) = self.case.fallback(channel)
                && !is_target(*id, fallback)
            {
                return Err(format!(
                    "alert {id}: {channel} did not take it, and {fallback} was not told"
                ));
            }
        }
        for (id, channel, why) in &targets {
            let Some(of) = why.strip_prefix("fallback of ") else {
                continue;
            };
            if self.case.fallback(of) != Some(channel.as_str()) || !is_target(*id, of) {
                return Err(format!("alert {id}: {channel} is a target as {why}"));
            }
        }
        Ok(())
    }

    async fn nothing_is_left(&self) -> Result<(), String> {
        for left in [
            "select count(*) from alerts where closed_at is null",
            "select count(*) from owed",
            WAITING,
            "select count(*) from notifications where state = 'refused' and kind = 'resolve'",
            "select deadlocks from pg_stat_database where datname = current_database()",
        ] {
            let n = self.stage.count(left).await;
            if n != 0 {
                return Err(format!("{left}: {n}"));
            }
        }
        Ok(())
    }

    /// In the tables and at the receivers: a trigger that may have arrived has its resolve, at the same channel and with
    /// the same key; after it comes no trigger, and without a trigger there is none.
    async fn whoever_heard_of_it_heard_the_end(&self) -> Result<(), String> {
        let endless: Vec<String> = sqlx::query_scalar(
            "select distinct n.channel || ' ' || n.dedup_key from notifications n
             where n.kind in ('trigger', 'repeat') and n.may_have_arrived and not exists (
                 select from notifications r where r.alert_id = n.alert_id and r.channel = n.channel and r.dedup_key = n.dedup_key
                   and r.kind = 'resolve' and r.state = 'accepted')",
        )
        .fetch_all(self.stage.pool())
        .await
        .expect("notifications can be read");
        if !endless.is_empty() {
            return Err(format!("there is no end of {endless:?}"));
        }
        let mut heard = Heard::new();
        for page in self.stage.received() {
            if page.is_accepted() {
                heard
                    .entry((page.channel, page.key))
                    .or_default()
                    .push(page.kind);
            }
        }
        for ((channel, key), kinds) in &heard {
            let triggers = kinds.iter().take_while(|kind| *kind == "trigger").count();
            let resolves = &kinds[triggers..];
            if resolves.is_empty() || resolves.iter().any(|kind| kind != "resolve") {
                return Err(format!("{channel} heard of {key}: {kinds:?}"));
            }
        }
        Ok(())
    }

    async fn happened(&self) -> Happened {
        let count = async |sql| self.stage.count(sql).await;
        Happened {
            alerts: count("select count(*) from alerts").await,
            told: count("select count(*) from notifications where kind = 'trigger' and state = 'accepted'").await,
            told_by_fallback: count(
                "select count(*) from alert_targets t join notifications n using (alert_id, channel)
                 where why like 'fallback of %' and kind = 'trigger' and state = 'accepted'",
            )
            .await,
            refused: count("select count(*) from attempts where http_status = 400").await,
            failed: count("select count(*) from attempts where error is not null").await,
            killed_with: self.killed_with,
            perhaps_arrived: count("select count(*) from attempts where error is not null and may_have_arrived").await,
        }
    }
}

fn named(checks: &[usize]) -> Vec<String> {
    let all = all_checks();
    checks.iter().map(|n| all[*n].clone()).collect()
}
