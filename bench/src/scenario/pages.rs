//! `pages`: filtered pages of lists, as people open them, while checks run.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::list::{self, read};
use super::{Bench, HALF_RATE, engine, progress};
use crate::lateness::Lateness;
use crate::load::{Answers, Load};
use crate::report::Report;
use crate::system::{Setting, System};

/// With it 200,000 checks are a little more than half of `engine`'s rate.
const INTERVAL_S: u32 = 13;
/// Until what fails is hard and told: three runs, and what follows.
const SETTLED_S: u32 = 60;
/// From one page to the next, of one person.
const PAUSE: Duration = Duration::from_millis(20);
/// What a page may take, in ms, but for one of a hundred.
const AIM_MS: f64 = 50.0;
/// What is asked for, in turn, and how many entries come at least.
const PAGES: [(&str, u64); 35] = [
    ("/checks?limit=100", 100),
    ("/checks?limit=100&after=150000", 100),
    ("/checks?role=web&limit=100", 100),
    ("/checks?role=web&limit=100&after=150000", 100),
    ("/checks?role=rare&limit=100", 100),
    ("/checks?role=rare&limit=100&after=150000", 100),
    ("/checks?host=bench77&limit=100", 100),
    ("/checks?check=check_77&limit=100", 1),
    ("/checks?owner=ann&limit=100", 100),
    ("/checks?status=ok&limit=100", 100),
    ("/checks?status=warning&limit=100", 100),
    ("/checks?status=critical&limit=100", 100),
    ("/checks?status=critical&limit=100&after=150000", 100),
    ("/checks?status=unknown&limit=100", 100),
    ("/checks/state/alerting?limit=100", 100),
    ("/checks/state/alerting?limit=100&after=150000", 100),
    ("/checks/state/alerting?hard=true&limit=100", 100),
    ("/checks/state/pending?limit=100", 0),
    ("/checks/state/pending?limit=100&after=150000", 0),
    ("/checks/state/in_maintenance?limit=100", 100),
    ("/checks/state/in_maintenance?limit=100&after=150000", 100),
    ("/checks/state/suspended?limit=100", 100),
    ("/checks/state/suspended?limit=100&after=150000", 100),
    ("/alerts?limit=100", 100),
    ("/alerts?open=true&limit=100", 100),
    ("/alerts?open=false&limit=100&after=90000", 100),
    ("/alerts?kind=host&limit=100", 100),
    ("/alerts?status=unknown&limit=100", 100),
    ("/alerts?host=bench77&limit=100", 100),
    ("/alerts?role=rare&limit=100", 100),
    ("/alerts?from=1700050000&to=1700051000&limit=100", 100),
    ("/alerts?suppression=flood&limit=100", 0),
    ("/hosts?limit=20", 20),
    ("/hosts?role=rare&limit=10", 10),
    ("/hosts?limit=20&after=900", 20),
];

/// Roles and suspended checks; two maintenances, of which each lasts; and a hundred thousand alerts of the past.
const FLEET: &str = "
    update hosts set roles = case when host_id % 100 = 0 then '{web,rare}' when host_id % 2 = 0 then '{web}' else '{db}' end::text[];
    update check_state set suspended = true where check_id % 500 = 100;
    insert into maintenances (ends_at, hosts, author, reason) values
        (now() + interval '1 day', '{bench7,bench70*}', 'ann', 'disks'), (now() + interval '1 day', '{bench5}', 'ann', 'disks');
    insert into alerts (kind, host_id, check_id, hostname, check_name, priority, status, opened_at, closed_at, close_reason, is_settled)
        select case when i % 500 = 0 then 'host' else 'check' end, h.host_id, case when i % 500 > 0 then k.check_id end, h.hostname,
               case when i % 500 > 0 then k.name else '' end, 1, case when i % 500 > 0 then case when i % 700 = 1 then 3 else 1 + i % 2 end end,
               to_timestamp(1700000000 + i), to_timestamp(1700000060 + i), 'recovered', true
        from generate_series(1, 100000) as i join checks k on k.check_id = i join hosts h using (host_id) order by i;
    analyze hosts; analyze check_state; analyze alerts; analyze maintenances;";

/// Whoever owns what is well does so until its next run, so some of what fails is owned.
const OWNED: &str =
    "update check_state set owner = 'ann' where check_id % 1000 in (2, 3); analyze check_state;";

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Report> {
    let answers = Answers {
        standing: true,
        ..Answers::default()
    };
    let load = bench.load(&Load {
        interval_s: INTERVAL_S,
        ..engine(answers)
    });
    ensure!(
        load.checks >= HALF_RATE * INTERVAL_S,
        "pages need {} checks",
        HALF_RATE * INTERVAL_S
    );
    let mut system = System::start(&bench.server, &load, &Setting::default()).await?;
    sqlx::raw_sql(FLEET).execute(&system.database.pool).await?;
    let (api, listen) = list::start_api(&system.database.url).await?;
    system.watch(SETTLED_S, progress).await?;
    sqlx::raw_sql(OWNED).execute(&system.database.pool).await?;
    let seconds = bench.seconds(180);
    let until = Instant::now() + Duration::from_secs(seconds.into());
    let pid = api.pid;
    let asked = async {
        let mut took = vec![Lateness::default(); PAGES.len()];
        let mut fewest = vec![u64::MAX; PAGES.len()];
        for (n, (path, _)) in PAGES.iter().enumerate().cycle() {
            if Instant::now() >= until {
                break;
            }
            let began = Instant::now();
            let answer = read(&listen, path, "identity", pid).await?;
            // a begun millisecond is one
            took[n].note(i64::try_from(began.elapsed().as_millis())? + 1);
            fewest[n] = fewest[n].min(answer.entries);
            tokio::time::sleep(PAUSE).await;
        }
        anyhow::Ok((took, fewest))
    };
    let (watched, took) = tokio::join!(system.watch(seconds, progress), asked);
    let (watched, (took, fewest)) = (watched?, took?);
    api.stop().await?;
    system.finish(&bench.server, &load, &watched).await?;
    let mut report = Report::of(&load, &watched).keeps_up(&load, &watched);
    let mut page_ms = serde_json::Map::new();
    for (((path, least), took), fewest) in PAGES.iter().zip(&took).zip(fewest) {
        let quantiles = serde_json::to_value(took.quantiles().unwrap_or_default())?;
        page_ms.insert((*path).to_owned(), quantiles);
        report = report.at_most(&format!("{path}, p99 ms"), AIM_MS, took.p99());
        if fewest < *least {
            report = report.must(&format!("{path} shows {least}"), false);
        }
    }
    let pages: u64 = took.iter().map(Lateness::runs).sum();
    Ok(report.with("pages", pages).with("page_ms", page_ms))
}
