//! `pages`: filtered pages of a list, as people open them, while checks run.

use std::time::{Duration, Instant};

use super::list::{self, read};
use super::{Bench, HALF_RATE, WARM_UP_S, engine, progress};
use crate::lateness::Lateness;
use crate::load::{Answers, Load};
use crate::report::Report;
use crate::system::{Setting, System};

/// With it 200,000 checks are a little more than half of `engine`'s rate.
const INTERVAL_S: u32 = 13;
/// From one page to the next, of one person.
const PAUSE: Duration = Duration::from_millis(20);
/// What is asked for, in turn, and how many checks come.
const PAGES: [(&str, u64); 8] = [
    ("/checks?limit=100", 100),
    ("/checks?limit=100&after=150000", 100),
    ("/checks?limit=100&role=web", 100),
    ("/checks?limit=100&role=rare", 100),
    ("/checks?limit=100&check=check_77", 1),
    ("/checks?limit=100&owner=ann", 100),
    ("/checks?limit=100&host=bench77", 100),
    ("/checks?limit=100&status=critical", 0),
];

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Report> {
    let load = bench.load(&Load {
        checks: HALF_RATE * INTERVAL_S,
        interval_s: INTERVAL_S,
        ..engine(Answers::default())
    });
    let mut system = System::start(&bench.server, &load, &Setting::default()).await?;
    sqlx::raw_sql(
        "update hosts set roles = case when host_id % 100 = 0 then '{web,rare}' when host_id % 2 = 0 then '{web}' else '{db}' end::text[];
         update check_state set owner = 'ann' where check_id % 1000 = 0;
         analyze hosts; analyze check_state;",
    )
    .execute(&system.database.pool)
    .await?;
    let (api, listen) = list::start_api(&system.database.url).await?;
    system.watch(WARM_UP_S, progress).await?;
    let seconds = bench.seconds(60);
    let until = Instant::now() + Duration::from_secs(seconds.into());
    let pid = api.pid;
    let asked = async {
        let mut took = Lateness::default();
        for (path, checks) in PAGES.iter().cycle() {
            if Instant::now() >= until {
                break;
            }
            let began = Instant::now();
            read(&listen, path, pid, *checks).await?;
            // a begun millisecond is one
            took.note(i64::try_from(began.elapsed().as_millis())? + 1);
            tokio::time::sleep(PAUSE).await;
        }
        anyhow::Ok(took)
    };
    let (watched, took) = tokio::join!(system.watch(seconds, progress), asked);
    let (watched, took) = (watched?, took?);
    api.stop().await?;
    system.finish(&bench.server, &load, &watched).await?;
    Ok(Report::of(&load, &watched)
        .with("pages", took.runs())
        .with(
            "page_ms",
            serde_json::to_value(took.quantiles().unwrap_or_default())?,
        )
        .keeps_up(&load, &watched)
        .at_most("a filtered page of 100, p99 ms", 50.0, took.p99()))
}
