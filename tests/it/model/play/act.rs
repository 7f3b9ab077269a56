//! The steps of a case, event by event: each happens on stage and in the reference, and is compared.

use stalker_tests::people;

use super::*;
use crate::model::steps::Step;

/// Longer than the leases of a killed worker's checks and notifications.
const LEASES: Time = 40;
const PATIENCE: Duration = Duration::from_secs(30);

impl Play {
    pub(super) async fn step(&mut self, step: &Step) -> Result<(), String> {
        let names = |indices: &[usize]| -> Vec<CheckName> {
            let all = all_checks();
            indices.iter().map(|index| all[*index].clone()).collect()
        };
        let name = |index: &usize| names(&[*index]).remove(0);
        match step {
            Step::Run(checks, status) => self.run(&names(checks), *status).await,
            Step::Break(checks, status) => self.break_all(&names(checks), *status).await,
            Step::BreakHost(host) => self.break_all(&checks_of(host), 2).await,
            Step::BreakAll => self.break_all(&all_checks(), 2).await,
            Step::MendAll => self.run(&all_checks(), 0).await,
            Step::Flap(check, flips, every) => self.flap(&name(check), *flips, *every).await,
            Step::HostGoes(host) => {
                self.go_down(host).await;
                self.run_as_they_are(&checks_of(host)).await?;
                self.advance(60).await?;
                self.run_as_they_are(&checks_of(host)).await
            }
            Step::HostReturns(host) => {
                self.come_back(host).await;
                self.run_as_they_are(&checks_of(host)).await
            }
            Step::HostFlaps(host, n) => {
                for _ in 0..*n {
                    self.go_down(host).await;
                    self.run_as_they_are(&checks_of(host)).await?;
                    self.advance(60).await?;
                    self.come_back(host).await;
                    self.run_as_they_are(&checks_of(host)).await?;
                }
                Ok(())
            }
            Step::Pass(time) => {
                self.advance(*time).await?;
                self.run_all().await
            }
            Step::Wait(time) => self.advance(*time).await,
            Step::Maintain(check, whole_host, from, length) => {
                self.maintain(&name(check), *whole_host, *from, *length)
                    .await
            }
            Step::EndMaintenances => {
                self.begin();
                self.end_maintenances().await;
                self.compare().await
            }
            Step::Suspend(check) => self.suspend(&name(check)).await,
            Step::Resume(check) => self.resume(&name(check)).await,
            Step::Remove(check) => {
                let check = name(check);
                self.registered.remove(&check);
                self.register_and_compare(&check).await
            }
            Step::Return(check) => {
                let check = name(check);
                self.registered.insert(check.clone());
                self.register_and_compare(&check).await
            }
            Step::Delete(check) => self.delete(&name(check)).await,
            Step::DeleteHost(host) => self.delete_host(host).await,
            Step::Prioritise(check, priority) => {
                let check = name(check);
                self.priorities.insert(check.clone(), *priority);
                self.register_and_compare(&check).await
            }
            Step::Own(check) => self.own(&name(check)).await,
            Step::Answers(channel, answers) => {
                self.stage.receivers[*channel].answer_next(answers.iter().copied());
                Ok(())
            }
            Step::Cut(channel) => {
                self.line(channel).becomes(Fault::Refuses).await;
                self.world.cut.insert(channel);
                Ok(())
            }
            Step::Splice(channel) => {
                self.splice(channel).await;
                Ok(())
            }
            Step::RestartWorker => {
                self.stage.workers.remove(0).stop().await;
                self.stage.start_worker();
                self.compare().await
            }
            Step::RestartScheduler => {
                self.stage.schedulers.remove(0).stop().await;
                self.stage.start_scheduler();
                self.compare().await
            }
            Step::KillAll => self.kill_all().await,
            Step::RunAndKill(checks, status) => self.run_and_kill(&names(checks), *status).await,
        }
    }

    /// What it means to the checks that are there.
    async fn run(&mut self, checks: &[CheckName], status: u8) -> Result<(), String> {
        self.answer(checks, status);
        self.run_as_they_are(checks).await
    }

    fn answer(&mut self, checks: &[CheckName], status: u8) {
        self.stage.answer(
            checks,
            status.into(),
            if status == 0 { "OK - mended" } else { "broken" },
        );
        self.answers
            .extend(checks.iter().map(|check| (check.clone(), status)));
    }

    async fn run_as_they_are(&mut self, checks: &[CheckName]) -> Result<(), String> {
        self.begin();
        let checks = self.runnable(checks);
        self.stage.run(&checks).await;
        let outcomes = self.outcomes(&checks);
        self.reference.record(&outcomes);
        self.compare().await
    }

    pub(super) async fn run_all(&mut self) -> Result<(), String> {
        self.run_as_they_are(&all_checks()).await
    }

    fn runnable(&self, checks: &[CheckName]) -> Vec<CheckName> {
        checks
            .iter()
            .filter(|check| self.reference.is_runnable(check))
            .cloned()
            .collect()
    }

    async fn break_all(&mut self, checks: &[CheckName], status: u8) -> Result<(), String> {
        self.run(checks, status).await?;
        self.advance(20).await?;
        self.run_as_they_are(checks).await
    }

    async fn flap(&mut self, check: &CheckName, flips: usize, every: Time) -> Result<(), String> {
        let check = std::slice::from_ref(check);
        for flip in 0..flips {
            let is_failing = self.reference.is_failing(&check[0]);
            self.run(check, if is_failing { 0 } else { 2 }).await?;
            if flip + 1 < flips {
                self.advance(every).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn advance(&mut self, by: Time) -> Result<(), String> {
        self.stage.advance(seconds(by)).await;
        self.reference.now += by;
        self.begin();
        self.compare().await
    }

    pub(super) fn begin(&mut self) {
        self.reference.began = self.reference.now;
    }

    async fn go_down(&mut self, host: &'static str) {
        self.stage.go_down(host).await;
        self.down.insert(host);
    }

    pub(super) async fn come_back(&mut self, host: &'static str) {
        if self.down.remove(host) {
            self.stage.come_back(host).await;
        }
    }

    async fn maintain(
        &mut self,
        check: &str,
        whole_host: bool,
        from: Time,
        length: Time,
    ) -> Result<(), String> {
        let (hostname, name) = check.split_once('/').expect("a check is called HOST/NAME");
        let name = (!whole_host).then_some(name);
        // between the steps of the clock, but for what begins at once
        let from = if from > 0 { from + 10 } else { 0 };
        let until = from + length + if from > 0 { 0 } else { 10 };
        sqlx::query(
            "insert into maintenances (starts_at, ends_at, hosts, checks, author, reason)
             values (now() + make_interval(secs => $1), now() + make_interval(secs => $2), array[$3], $4, 'somebody', 'work')",
        )
        .bind(from as f64)
        .bind(until as f64)
        .bind(hostname)
        .bind(name.map(|name| vec![name]))
        .execute(self.stage.pool())
        .await
        .expect("a maintenance can be planned");
        let now = self.reference.now;
        self.reference
            .maintain(hostname, name, now + from, now + until);
        self.compare().await
    }

    pub(super) async fn end_maintenances(&mut self) {
        sqlx::query("delete from maintenances")
            .execute(self.stage.pool())
            .await
            .expect("maintenances can be ended");
        self.reference.end_maintenances();
    }

    async fn suspend(&mut self, check: &str) -> Result<(), String> {
        if self.reference.is_runnable(check) {
            self.begin();
            self.stage.suspend(check, true).await;
            self.reference.suspend(check, true);
            self.compare().await?;
        }
        Ok(())
    }

    /// It runs at once.
    pub(super) async fn resume(&mut self, check: &str) -> Result<(), String> {
        if !self.reference.is_suspended(check) {
            return Ok(());
        }
        self.begin();
        self.stage.suspend(check, false).await;
        self.reference.suspend(check, false);
        let outcomes = self.outcomes(&[check.to_owned()]);
        self.reference.record(&outcomes);
        self.compare().await
    }

    async fn register_and_compare(&mut self, check: &str) -> Result<(), String> {
        let (hostname, _) = check.split_once('/').expect("a check is called HOST/NAME");
        self.begin();
        self.register(hostname).await;
        self.compare().await
    }

    async fn delete(&mut self, check: &str) -> Result<(), String> {
        let id: Option<i64> = sqlx::query_scalar("select check_id from checks join hosts using (host_id) where hostname || '/' || name = $1")
            .bind(check)
            .fetch_optional(self.stage.pool())
            .await
            .expect("checks can be found");
        let Some(id) = id else { return Ok(()) };
        people::delete_check(self.stage.pool(), id).await;
        self.reference.delete(check);
        self.registered.remove(check);
        // else the next registration would bring it
        self.register_and_compare(check).await
    }

    /// Its agent registers again, as a new one.
    async fn delete_host(&mut self, hostname: &str) -> Result<(), String> {
        people::delete_host(self.stage.pool(), hostname).await;
        self.reference.delete_host(hostname);
        self.begin();
        self.compare().await?;
        self.begin();
        self.register(hostname).await;
        self.compare().await
    }

    async fn own(&mut self, check: &str) -> Result<(), String> {
        if self.reference.is_failing(check) {
            sqlx::query(
                "update check_state s set owner = 'ann' from checks k join hosts h using (host_id)
                 where k.check_id = s.check_id and h.hostname || '/' || k.name = $1",
            )
            .bind(check)
            .execute(self.stage.pool())
            .await
            .expect("a check can be owned");
            self.reference.own(check);
        }
        Ok(())
    }

    fn line(&mut self, channel: &str) -> &mut Line {
        self.lines
            .get_mut(channel)
            .expect("every channel has a line")
    }

    pub(super) async fn splice(&mut self, channel: &'static str) {
        self.line(channel).becomes(Fault::None).await;
        self.world.cut.remove(channel);
    }

    /// Between two events. What they held is free when their leases have run out.
    async fn kill_all(&mut self) -> Result<(), String> {
        self.stage.rest().await;
        let (workers, schedulers) = (self.stage.workers.len(), self.stage.schedulers.len());
        self.stage.workers.clear();
        self.stage.schedulers.clear();
        (0..workers).for_each(|_| self.stage.start_worker());
        (0..schedulers).for_each(|_| self.stage.start_scheduler());
        self.push().await
    }

    /// In the middle of an event, where nothing depends on which of two moments something happened at.
    async fn run_and_kill(&mut self, checks: &[CheckName], status: u8) -> Result<(), String> {
        let checks = self.runnable(checks);
        if !self.reference.is_simple() || checks.is_empty() {
            return self.kill_all().await;
        }
        self.begin();
        self.answer(&checks, status);
        if self.direct {
            // the dead are senders
            self.stage.run(&checks).await;
        } else {
            self.rush(&checks).await;
        }
        self.stage.workers.remove(0).kill();
        self.stage.schedulers.remove(0).kill();
        self.stage.start_worker();
        self.stage.start_scheduler();
        self.world.senders_died = true;

        clock::push(self.stage.pool(), LEASES).await;
        self.stage.idle().await;
        let ran_at = self.ran_at(&checks).await;
        let outcomes = self.outcomes(&checks);
        let after = self.reference.now + LEASES;
        for at in [self.reference.now, after] {
            self.reference.now = at;
            let these = outcomes
                .iter()
                .filter(|(check, _)| (ran_at.get(*check) == Some(&after)) == (at == after));
            self.reference.record(
                &these
                    .map(|(check, outcome)| (check.clone(), *outcome))
                    .collect(),
            );
        }
        self.compare().await
    }

    /// They are due now; returns when one has begun to run.
    async fn rush(&self, checks: &[CheckName]) {
        let of_these = "from checks k join hosts h using (host_id) where k.check_id = s.check_id and h.hostname || '/' || k.name = any ($1)";
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "update check_state s set rush_at = now() {of_these}"
        )))
        .bind(checks)
        .execute(self.stage.pool())
        .await
        .expect("checks can be made due");
        until("one of them has begun", PATIENCE, async || {
            let sql = format!("select exists (select from check_state s, lateral (select {of_these}) as these where s.rush_at is null)");
            let begun: bool = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(checks).fetch_one(self.stage.pool()).await.ok()?;
            begun.then_some(())
        })
        .await;
    }

    async fn push(&mut self) -> Result<(), String> {
        clock::push(self.stage.pool(), LEASES).await;
        self.reference.now += LEASES;
        self.begin();
        self.compare().await
    }
}
