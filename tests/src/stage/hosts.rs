//! Hosts and their checks, and what befalls them.

use std::collections::BTreeMap;
use std::time::Duration;

use stalker_domain::wire::{RegisteredCheck, Registration};

use crate::people;

use super::Stage;
use crate::agent::Agent;
use crate::server::CHECK_KEY;

/// The longest that there is: within a week nothing runs by itself.
const INTERVAL_S: i64 = 604_800;

/// One host on stage.
#[derive(Debug)]
pub(super) struct Host {
    /// None where the stage runs the checks itself.
    agent: Option<Agent>,
    /// The last one.
    registration: Registration,
    /// Exit code and output by the check's name; ok if there is none.
    pub(super) answers: BTreeMap<String, (i32, String)>,
    pub(super) is_down: bool,
}

/// A check as most stories want it: priority 1, no settings of its own, and it runs when the story says so.
#[must_use]
pub fn check() -> RegisteredCheck {
    RegisteredCheck {
        cmd: None,
        args: String::new(),
        interval: INTERVAL_S,
        follow_up: INTERVAL_S,
        priority: Some(1),
        timeout: None,
        alert_threshold: None,
        flap_threshold: None,
        flap_window: None,
    }
}

impl Stage {
    /// A new host with these checks, which have run once and were healthy.
    ///
    /// # Panics
    /// If it cannot be registered, or its checks do not run.
    pub async fn host(&mut self, hostname: &str, checks: &[impl AsRef<str>]) {
        self.add_host(hostname, checks).await;
        self.register(hostname, |_| {}).await;
    }

    /// As [`Stage::host`], with `n` checks `check_1` and so on.
    ///
    /// # Panics
    /// As [`Stage::host`].
    pub async fn host_with(&mut self, hostname: &str, n: usize) {
        self.host(hostname, &names(n)).await;
    }

    /// Hosts `web1` to `webN` with `n_checks` each, as [`Stage::host_with`]. Gives all their checks.
    ///
    /// # Panics
    /// As [`Stage::host`].
    pub async fn hosts_with(&mut self, n_hosts: usize, n_checks: usize) -> Vec<String> {
        let hostnames: Vec<String> = (1..=n_hosts).map(|i| format!("web{i}")).collect();
        for hostname in &hostnames {
            self.add_host(hostname, &names(n_checks)).await;
            self.send_registration(hostname).await;
        }
        self.run_what_is_new().await;
        hostnames
            .iter()
            .flat_map(|hostname| self.checks_of(hostname))
            .collect()
    }

    /// The host registers again, with what `edit` makes of its last registration. Checks that are new to the server,
    /// or come back, run once.
    ///
    /// # Panics
    /// If there is no such host, or the server refuses it.
    pub async fn register(&mut self, hostname: &str, edit: impl FnOnce(&mut Registration)) {
        edit(&mut self.host_mut(hostname).registration);
        self.send_registration(hostname).await;
        self.run_what_is_new().await;
    }

    /// The agent no longer names this check.
    ///
    /// # Panics
    /// As [`Stage::register`].
    pub async fn remove(&mut self, check: &str) {
        let (hostname, name) = split(check);
        self.register(hostname, |r| drop(r.checks.remove(name)))
            .await;
    }

    /// A person suspends a check, or resumes it, which runs it at once.
    ///
    /// # Panics
    /// If there is no such check.
    pub async fn suspend(&self, check: &str, suspended: bool) {
        let id: i64 = sqlx::query_scalar(
            "select check_id from checks join hosts using (host_id) where hostname || '/' || name = $1",
        )
        .bind(check)
        .fetch_one(self.pool())
        .await
        .expect("the check was registered");
        assert!(
            people::suspend(self.pool(), id, suspended).await,
            "{check} is there"
        );
        self.idle().await;
    }

    /// Maintenance of these hosts, from now on and for so long. Gives its id.
    ///
    /// # Panics
    /// If the tables are not as expected.
    pub async fn maintain(&self, hosts: &[&str], length: Duration) -> i64 {
        sqlx::query_scalar(
            "insert into maintenances (ends_at, hosts, author, reason)
             values (now() + make_interval(secs => $1), $2, 'somebody', 'a new disk') returning maintenance_id",
        )
        .bind(length.as_secs_f64())
        .bind(hosts)
        .fetch_one(self.pool())
        .await
        .expect("a maintenance can be planned")
    }

    /// From now on these checks fail, critically.
    ///
    /// # Panics
    /// If a host is not on stage.
    pub fn fail(&mut self, checks: &[impl AsRef<str>]) {
        self.answer(checks, 2, "CRITICAL - broken");
    }

    /// From now on these checks are ok.
    ///
    /// # Panics
    /// If a host is not on stage.
    pub fn recover(&mut self, checks: &[impl AsRef<str>]) {
        self.answer(checks, 0, "OK - mended");
    }

    /// From now on the scripts of these checks end with this exit code and output.
    ///
    /// # Panics
    /// If a host is not on stage.
    pub fn answer(&mut self, checks: &[impl AsRef<str>], status: i32, out: &str) {
        for check in checks {
            let (hostname, name) = split(check.as_ref());
            let host = self.host_mut(hostname);
            if let Some(agent) = &host.agent {
                agent.answer(name, status, out);
            }
            let answer = (status, out.to_owned());
            host.answers.insert(name.to_owned(), answer);
        }
    }

    /// The host's port refuses.
    ///
    /// # Panics
    /// If the host is not on stage.
    pub async fn go_down(&mut self, hostname: &str) {
        let host = self.host_mut(hostname);
        host.is_down = true;
        if let Some(agent) = &mut host.agent {
            agent.stop().await;
        }
    }

    /// The host is there again, as it was.
    ///
    /// # Panics
    /// If the host is not on stage.
    pub async fn come_back(&mut self, hostname: &str) {
        let host = self.host_mut(hostname);
        host.is_down = false;
        if let Some(agent) = &mut host.agent {
            agent.start_again().await;
        }
    }

    /// All checks that a host registers.
    ///
    /// # Panics
    /// If the host is not on stage.
    #[must_use]
    pub fn checks_of(&self, hostname: &str) -> Vec<String> {
        let names = self.hosts[hostname].registration.checks.keys();
        names.map(|name| format!("{hostname}/{name}")).collect()
    }

    /// A host's agent, to do more than fail.
    ///
    /// # Panics
    /// If the host is not on stage, or has no agent because the stage runs checks itself.
    pub fn agent(&mut self, hostname: &str) -> &mut Agent {
        let agent = self.host_mut(hostname).agent.as_mut();
        agent.expect("this stage has agents")
    }

    fn host_mut(&mut self, hostname: &str) -> &mut Host {
        self.hosts.get_mut(hostname).expect("the host is on stage")
    }

    async fn add_host(&mut self, hostname: &str, checks: &[impl AsRef<str>]) {
        let agent = match &self.direct {
            Some(_) => None,
            None => Some(Agent::start(CHECK_KEY).await),
        };
        let registration = Registration {
            hostname: hostname.to_owned(),
            roles: Vec::new(),
            ip: None,
            port: agent.as_ref().map(Agent::port),
            agent_version: Some("simulated".to_owned()),
            cert_sha256: agent.as_ref().map(Agent::cert_sha256),
            check_key: None,
            checks: checks
                .iter()
                .map(|name| (name.as_ref().to_owned(), check()))
                .collect(),
        };
        let host = Host {
            agent,
            registration,
            answers: BTreeMap::new(),
            is_down: false,
        };
        self.hosts.insert(hostname.to_owned(), host);
    }

    async fn send_registration(&self, hostname: &str) {
        let registration = &self.hosts[hostname].registration;
        people::register(self.pool(), registration).await;
    }

    /// New checks wait for a random moment, and come back at a random phase, either of which could be within the story:
    /// they run now, and are due again a whole interval later.
    async fn run_what_is_new(&self) {
        self.execute(
            "with t as (select floor(extract(epoch from now()) * 1000)::bigint as ms)
             update check_state s
             set phase_ms = t.ms % (s.interval_s * 1000::bigint), due_at = now() + make_interval(secs => s.interval_s),
                 rush_at = case when s.rush_at < now() + interval '1 min' then now() else s.rush_at end
             from t",
        )
        .await;
        self.idle().await;
    }
}

fn names(n: usize) -> Vec<String> {
    (1..=n).map(|i| format!("check_{i}")).collect()
}

fn split(check: &str) -> (&str, &str) {
    check.split_once('/').expect("a check is called HOST/NAME")
}
