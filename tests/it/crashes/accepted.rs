//! A sender dies when the receiver has its message and nobody has written that down: it is told again with the same key,
//! once for each death, and marked as what may have been told before. `make crash-long` lets more than a thousand die.

use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;
use stalker_db::notifications::{self, ClaimedNotification, SecretIds};
use stalker_tests::line::{Fault, Line};
use stalker_tests::rounds::rounds;
use stalker_tests::stage::{PAGER, Stage, http_channel};

use super::told::each_was_told;
use super::*;

/// As many as one channel has under way, and not so many that they are a burst.
const AT_A_TIME: usize = 8;
/// Of each: trigger and resolve.
const KILLS: usize = 8;
const SIGKILLS: usize = 3;
/// Longer than the lease of a sender.
const LEASE: Duration = Duration::from_secs(31);

/// In the test's own process: a worker ends where it stands, with eight messages of which it waits for the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_again_after_each_of_many_deaths() {
    let mut line = Line::new().await;
    let mut stage = Stage::direct(&[PAGER], |config| {
        config.thresholds.alert_threshold = 1;
        let pager = http_channel(&line.url());
        config.channels.insert(PAGER.to_owned(), pager);
    })
    .await;
    line.lead_to(stage.receivers[PAGER].url());
    let checks = stage.hosts_with(2, AT_A_TIME / 2).await;
    let (kills, mut heard) = (rounds(KILLS), 0);
    for broken in [true, false] {
        stage.workers.remove(0).stop().await;
        if broken {
            stage.fail(&checks);
        } else {
            stage.recover(&checks);
        }
        stage.run(&checks).await;
        assert_eq!(marked(&stage).await, vec![false; AT_A_TIME]);
        line.becomes(Fault::HoldsAnswer).await;
        for _ in 0..kills {
            stage.start_worker();
            heard += AT_A_TIME;
            let received = async || stage.receivers[PAGER].received().len();
            until_seen("the receiver has all", PATIENCE, received, |n| *n == heard).await;
            stage.workers.remove(0).kill();
            stage.database().advance(LEASE).await;
            let sending = async || {
                stage
                    .count("select count(*) from notifications where state = 'sending'")
                    .await
            };
            until_seen("the dead are buried", PATIENCE, sending, |n| *n == 0).await;
        }
        assert_eq!(marked(&stage).await, vec![true; AT_A_TIME]);
        line.becomes(Fault::None).await;
        stage.start_worker();
        heard += AT_A_TIME;
        stage.settle().await;
    }
    assert_eq!(stage.receivers[PAGER].received().len(), heard);
    let twice = each_was_told(stage.pool(), &stage.receivers[PAGER]).await;
    assert_eq!(twice, 2 * AT_A_TIME);
    eprintln!(
        "{} messages of dead senders told again",
        2 * kills * AT_A_TIME
    );
}

/// Whether what is due is sent as what may have been told before. No worker runs.
async fn marked(stage: &Stage) -> Vec<bool> {
    let known: Vec<String> = sqlx::query_scalar(
        "select distinct secret_id from notifications where secret_id is not null",
    )
    .fetch_all(stage.pool())
    .await
    .expect("the tables are as expected");
    let secrets = SecretIds {
        known,
        ..SecretIds::default()
    };
    let claimed = async || -> Vec<ClaimedNotification> {
        notifications::claim_due(stage.pool(), PAGER, &secrets, None, 100, 1, 30)
            .await
            .expect("the database answers")
    };
    let claimed = claimed().await;
    let taken: Vec<(i64, i64)> = claimed
        .iter()
        .map(|one| (one.notification_id, one.lease))
        .collect();
    notifications::give_back(stage.pool(), &taken)
        .await
        .expect("the database answers");
    claimed.iter().map(|one| one.is_possible_repeat).collect()
}

/// Real workers, each killed by SIGKILL when the receiver has answered and nothing is written down.
#[tokio::test]
async fn told_again_after_each_sigkill() {
    let receiver = Receiver::start().await;
    let told = || receiver.received().len();
    let channel = |i: Installation| i.channel("pager", receiver.url());
    let database = told_by_the_dying(rounds(SIGKILLS), channel, told).await;
    assert_eq!(each_was_told(database.pool(), &receiver).await, 2);
}

/// A problem and its end are told on one channel, each first by so many workers that die at once; `told` counts what has
/// arrived: one message for each life.
pub(super) async fn told_by_the_dying(
    kills: usize,
    channel: impl FnOnce(Installation) -> Installation,
    told: impl Fn() -> usize,
) -> TestDatabase {
    let database = TestDatabase::with_clock().await;
    let agent = Agent::start(CHECK_KEY).await;
    let installation = channel(Installation::new(&database))
        .set("worker.check_timeout", TIMEOUT_S)
        .set("worker.lease", LEASE_S)
        .set("alerts.alert_threshold", 1);
    let all = installation.start("api").await;
    let _scheduler = installation.start("scheduler").await;
    all.api()
        .register_simulated(&agent, "web1", &["check_a"], 1)
        .await;
    let pool = database.pool();
    let mut lives = 0;
    for (status, out) in [(2, "CRITICAL - broken"), (0, "OK - mended")] {
        agent.answer("check_a", status, out);
        for _ in 0..kills {
            let trap = [("STALKER_FAILPOINT", "after-accept:kill")];
            let (mut victim, _) = installation.spawn_with("worker", &trap);
            let ended = victim.ended(PATIENCE).await;
            assert_eq!(ended.signal(), Some(Signal::SIGKILL as i32), "{ended}");
            lives += 1;
            assert_eq!(told(), lives, "one message for each life");
            database.advance(LEASE).await;
            let buried = "select count(*) from attempts where error = 'its sender died'";
            let buried = async || count(pool, buried).await;
            let dead = i64::try_from(lives).expect("a count");
            until_seen("the dead is buried", PATIENCE, buried, |n| {
                *n + i64::from(status == 0) >= dead
            })
            .await;
        }
        let mut survivor = installation.start("worker").await;
        lives += 1;
        let told = async || told();
        until_seen("told once more", PATIENCE, told, |n| *n == lives).await;
        let waiting = "select count(*) from notifications where state in ('pending', 'sending')";
        let waiting = async || count(pool, waiting).await;
        until_seen("and written down", PATIENCE, waiting, |n| *n == 0).await;
        survivor.process.terminate(PATIENCE).await;
    }
    database
}
