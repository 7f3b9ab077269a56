//! Each filter of a list finds its index: what a page costs is what it shows, however much there is.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use sqlx::types::chrono::Utc;
use stalker_db::alerts::list as alerts;
use stalker_db::notifications::list as notifications;
use stalker_db::samples::read as samples;
use stalker_db::{api_keys, audit, checks, hosts, maintenances, notes, state_changes, users};
use stalker_tests::database::TestDatabase;

/// Of everything fifty thousand, among them what one in hundreds has, and statistics that say so. Ids are in the order of
/// time, as they are in life.
const PEACE: &str = "
    insert into hosts (hostname, ip, roles) select 'host' || i, '10.0.' || i / 250 || '.' || i % 250, case when i % 100 = 0 then '{rare}' else '{common}' end::text[]
        from generate_series(1, 500) i;
    insert into checks (host_id, name, declared_interval_s, declared_follow_up_s)
        select host_id, case when n = 1 and host_id % 100 = 0 then 'rare' else 'check' || n end, 300, 300 from hosts, generate_series(1, 100) n order by host_id, n;
    insert into check_state (check_id, interval_s, phase_ms, due_at, status, unreachable, hard, owner, suspended, leased_until)
        select check_id, 300, 0, now() + interval '1 hour', case when check_id % 1000 = 0 then 2 when check_id % 100 < 30 then 1 else 0 end, check_id % 700 = 3,
               check_id % 1500 = 0, case when check_id % 5000 = 0 then 'ann' else '' end, check_id % 2000 = 0, case when check_id % 500 = 7 then now() + interval '1 hour' end
        from checks;
    insert into hosts (hostname, ip, roles) select 'lonely' || i, '10.9.9.9', case when i % 1000 = 0 then '{seldom}' else '{lonely}' end::text[]
        from generate_series(1, 50000) i;
    insert into channels (name, provider, repeat_s) values ('pager', 'http', 3600), ('rare', 'http', 3600);
    insert into alerts (kind, priority, threshold, window_s, opened_at, closed_at, close_reason, is_settled) values ('flood', 1, 1, 1, now() - interval '60000 min', now(), 'over', true);
    insert into alerts (kind, parent_id, host_id, check_id, hostname, check_name, priority, status, opened_at, closed_at, close_reason, is_settled)
        select case when k.check_id % 900 = 5 then 'host' else 'check' end, case when k.check_id > 45000 then 1 end, k.host_id, case when k.check_id % 900 <> 5 then k.check_id end,
               h.hostname, case when k.check_id % 900 = 5 then '' else k.name end, 1,
               case when k.check_id % 900 = 5 then null when k.check_id % 800 = 1 then 3 else 1 + k.check_id % 2 end, now() - interval '1 min' * (50000 - k.check_id),
               case when k.check_id % 1000 > 0 then now() end, case when k.check_id % 1000 > 0 then 'recovered' end, k.check_id % 1000 > 0
        from checks k join hosts h using (host_id) order by k.check_id;
    insert into suppressions (alert_id, reason) select alert_id, 'flapping' from alerts where closed_at is null;
    insert into notifications (alert_id, channel, kind, dedup_key, state, settled_at)
        select alert_id, case when alert_id % 1000 = 0 then 'rare' else 'pager' end, 'trigger', alert_id::text,
               case when alert_id % 1000 = 0 then 'refused' else 'accepted' end, now() from alerts order by alerts.alert_id;
    insert into audit (at, actor_kind, actor, address, action, subject)
        select now() - interval '1 min' * (50000 - i), 'user', case when i % 1000 = 0 then 'rare' else 'ann' end, '', case when i % 1000 = 0 then 'rare' else 'set_owner' end,
               case when i % 1000 = 0 then 'rare' else 'check ' || i % 7 end from generate_series(1, 50000) i;
    insert into state_changes (check_id, hostname, check_name, at, status, unreachable, hard, out, owner)
        select case when i % 2 = 0 then 77 else i end, 'host1', 'check77', now() - interval '1 s' * (50000 - i), 0, false, false, '', '' from generate_series(1, 50000) i;
    insert into notes (hostname, author, note, alerting) select case when i % 2 = 0 then 'host77' else 'host' || i end, 'ann', '', '{}' from generate_series(1, 50000) i;
    insert into series (check_id, label, unit, raw_unit) select i, 'load', '', '' from generate_series(1, 500) i;
    insert into samples (series_id, at, value) select series_id, now() - interval '1 min' * i, i from series, generate_series(1, 100) i;
    insert into sample_hours (series_id, hour, n, min, max, sum)
        select series_id, date_trunc('hour', now() - interval '1 day') - interval '1 h' * i, 1, 1, 1, 1 from series, generate_series(1, 100) i;
    insert into maintenances (starts_at, ends_at, hosts, author, reason) select now() - interval '2 days', now() - interval '1 day', '{host77}', 'ann', '' from generate_series(1, 50000);
    insert into maintenances (ends_at, hosts, roles, checks, author, reason) values
        (now() + interval '1 day', '{host77,host12?}', null, null, 'ann', ''), (now() + interval '1 day', null, '{rare}', '{check7}', 'ann', '');
    insert into users (username, access, password_hash) select 'user' || i, 'viewer', '' from generate_series(1, 50000) i;
    insert into api_keys (name, hash, access) select 'key' || i, decode(md5(i::text), 'hex'), 'viewer' from generate_series(1, 50000) i;
    vacuum analyze;";

/// The same, but that the frequent has become rare: nothing answers, and no channel accepts anything.
const OUTAGE: &str = "
    update check_state set unreachable = check_id % 900 <> 1;
    update notifications set state = case when state = 'accepted' then 'refused' else 'accepted' end;
    vacuum analyze;";

/// And nothing recovers.
const NO_END: &str = "
    update alerts set closed_at = null, close_reason = null, is_settled = false where kind <> 'flood' and alert_id % 1000 <> 500;
    vacuum analyze;";

const MANY: i64 = 50_000;
/// Where a list is continued close to its end.
const LATE: i64 = 49_000;

/// A name, what is asked, and how many rows may be read for a page of a hundred: some for each that is shown. Of what one in a
/// hundred has, a hundred times as many may be passed over, but not more if there are more of them.
type Row<Which> = (&'static str, Which, i64);

#[tokio::test]
async fn a_filtered_page_reads_what_it_shows() {
    let database = TestDatabase::new().await;
    let mut meter = Meter::of(&database).await;
    meter.begin("in peace", PEACE).await;
    ask_checks(&mut meter).await;
    ask_alerts(&mut meter).await;
    ask_notifications(&mut meter).await;
    ask_audit(&mut meter).await;
    ask_hosts(&mut meter).await;
    ask_maintenances(&mut meter).await;
    ask_what_is_not_filtered(&mut meter).await;

    meter.begin("in an outage", OUTAGE).await;
    ask_checks(&mut meter).await;
    ask_notifications(&mut meter).await;

    meter.begin("without an end", NO_END).await;
    let of = |is_open| alerts::Which {
        is_open,
        ..Default::default()
    };
    for (name, which, most) in [
        ("open", of(Some(true)), 1000),
        ("closed", of(Some(false)), 1000),
    ] {
        for after in [0, LATE] {
            let page = alerts::page(&meter.pool, &which, after, 100).await;
            meter
                .note(
                    &format!("alerts, {name}, after {after}"),
                    most,
                    page.map(|page| page.len()),
                )
                .await;
        }
    }
    meter.verdict();
}

/// What would be in no test's row must not compile: who adds a filter adds its row.
fn each_field_has_a_row<Which, const N: usize>(
    rows: &[Row<Which>],
    is_asked: impl Fn(&Which) -> [bool; N],
) {
    for field in 0..N {
        assert!(
            rows.iter().any(|(_, which, _)| is_asked(which)[field]),
            "nothing asks for field {field}"
        );
    }
}

async fn ask_checks(meter: &mut Meter) {
    use checks::{State, Which};
    let all = Which::default;
    let of = |state| Which { state, ..all() };
    let with = |status| Which {
        status: Some(status),
        ..all()
    };
    let rows: Vec<Row<Which>> = vec![
        ("all", all(), 600),
        (
            "check_id",
            Which {
                check_id: Some(77),
                ..all()
            },
            10,
        ),
        (
            "host",
            Which {
                host_id: Some(77),
                ..all()
            },
            400,
        ),
        (
            "role, rare",
            Which {
                role: some("rare"),
                ..all()
            },
            1600,
        ),
        (
            "role, common",
            Which {
                role: some("common"),
                ..all()
            },
            500,
        ),
        (
            "role of nobody",
            Which {
                role: some("nobody"),
                ..all()
            },
            1100,
        ),
        (
            "name, rare",
            Which {
                name: some("rare"),
                ..all()
            },
            50,
        ),
        (
            "name, common",
            Which {
                name: some("check7"),
                ..all()
            },
            500,
        ),
        (
            "owner",
            Which {
                owner: some("ann"),
                ..all()
            },
            100,
        ),
        ("ok", with(0), 900),
        ("warning", with(1), 1500),
        ("critical", with(2), 400),
        ("unknown", with(3), 600),
        (
            "scope, rare",
            Which {
                scope: Some(vec!["rare".to_owned()]),
                ..all()
            },
            1600,
        ),
        ("failing", of(State::Failing), 1500),
        ("hard", of(State::Hard), 400),
        ("suspended", of(State::Suspended), 400),
        ("in maintenance", of(State::InMaintenance), 12_000),
        // No index tells what is held by a worker, so that a run touches none: until a page is full, the table is read, once.
        ("leased", of(State::Leased), MANY + 400),
    ];
    each_field_has_a_row(&rows, |which| {
        let Which {
            state,
            check_id,
            host_id,
            role,
            name,
            owner,
            status,
            scope,
        } = which;
        match state {
            State::Any
            | State::Failing
            | State::Hard
            | State::Leased
            | State::InMaintenance
            | State::Suspended => {}
        }
        [
            *state == State::Failing,
            *state == State::Hard,
            *state == State::Leased,
            *state == State::InMaintenance,
            *state == State::Suspended,
            check_id.is_some(),
            host_id.is_some(),
            role.is_some(),
            name.is_some(),
            owner.is_some(),
            status.is_some(),
            scope.is_some(),
        ]
    });
    for (name, which, most) in rows {
        for after in [0, LATE] {
            let page = checks::page(&meter.pool, &which, after, 100).await;
            let shown = page.map(|page| page.len());
            meter
                .note(&format!("checks, {name}, after {after}"), most, shown)
                .await;
        }
    }
    // a list of several pages is one walk, not one for each page
    let (mut after, mut shown, mut pages) = (0, 0, 0);
    loop {
        let page = checks::page(&meter.pool, &of(State::Leased), after, 30).await;
        let page = page.expect("a page can be read");
        (shown, pages) = (shown + page.len(), pages + 1);
        match page.last() {
            Some(last) if page.len() == 30 => after = last.check_id,
            _ => break,
        }
    }
    assert_eq!((shown, pages), (100, 4));
    meter
        .note("checks, leased, in four pages", MANY + MANY / 5, Ok(shown))
        .await;
}

async fn ask_alerts(meter: &mut Meter) {
    use alerts::Which;
    let all = Which::default;
    let is = |is_open| Which {
        is_open: Some(is_open),
        ..all()
    };
    let of = |kind: &str| Which {
        kind: some(kind),
        ..all()
    };
    let with = |status| Which {
        status: Some(status),
        ..all()
    };
    let ago = |minutes: u64| Some(Utc::now() - Duration::from_secs(60 * minutes));
    let rows: Vec<Row<Which>> = vec![
        ("all", all(), 500),
        (
            "alert_id",
            Which {
                alert_id: Some(77),
                ..all()
            },
            10,
        ),
        ("open", is(true), 500),
        ("closed", is(false), 500),
        ("of checks", of("check"), 500),
        ("of hosts", of("host"), 500),
        ("floods", of("flood"), 10),
        (
            "host",
            Which {
                hostname: some("host77"),
                ..all()
            },
            500,
        ),
        (
            "role, rare",
            Which {
                role: some("rare"),
                ..all()
            },
            11_000,
        ),
        (
            "role, common",
            Which {
                role: some("common"),
                ..all()
            },
            900,
        ),
        (
            "check, rare",
            Which {
                check_name: some("rare"),
                ..all()
            },
            100,
        ),
        (
            "check, common",
            Which {
                check_name: some("check7"),
                ..all()
            },
            500,
        ),
        ("warning", with(1), 900),
        ("critical", with(2), 900),
        // closed ones by their index, beside all that are open
        ("unknown", with(3), 500),
        ("unreachable", with(-1), 500),
        (
            "owner",
            Which {
                owner: some("ann"),
                ..all()
            },
            500,
        ),
        (
            "suppression",
            Which {
                suppression: some("flapping"),
                ..all()
            },
            500,
        ),
        (
            "suppression of none",
            Which {
                suppression: some("maintenance"),
                ..all()
            },
            100,
        ),
        (
            "parent",
            Which {
                parent_id: Some(1),
                ..all()
            },
            500,
        ),
        (
            "from, late",
            Which {
                from: ago(60),
                ..all()
            },
            500,
        ),
        (
            "from, in the middle",
            Which {
                from: ago(25_000),
                ..all()
            },
            500,
        ),
        (
            "to, in the middle",
            Which {
                to: ago(25_000),
                ..all()
            },
            500,
        ),
        (
            "to, early",
            Which {
                to: ago(49_950),
                ..all()
            },
            500,
        ),
        (
            "from and to",
            Which {
                from: ago(25_000),
                to: ago(24_990),
                ..all()
            },
            500,
        ),
        (
            "from to come",
            Which {
                from: Some(Utc::now() + Duration::from_secs(60)),
                ..all()
            },
            10,
        ),
        (
            "scope, rare",
            Which {
                scope: Some(vec!["rare".to_owned()]),
                ..all()
            },
            11_000,
        ),
    ];
    each_field_has_a_row(&rows, |which| {
        let Which {
            alert_id,
            is_open,
            kind,
            hostname,
            role,
            check_name,
            status,
            owner,
            suppression,
            parent_id,
            from,
            to,
            scope,
        } = which;
        [
            alert_id.is_some(),
            is_open.is_some(),
            kind.is_some(),
            hostname.is_some(),
            role.is_some(),
            check_name.is_some(),
            status.is_some(),
            owner.is_some(),
            suppression.is_some(),
            parent_id.is_some(),
            from.is_some(),
            to.is_some(),
            scope.is_some(),
        ]
    });
    for (name, which, most) in rows {
        for after in [0, LATE] {
            let page = alerts::page(&meter.pool, &which, after, 100).await;
            let shown = page.map(|page| page.len());
            meter
                .note(&format!("alerts, {name}, after {after}"), most, shown)
                .await;
        }
    }
}

async fn ask_notifications(meter: &mut Meter) {
    use notifications::Which;
    let all = Which::default;
    let rows: Vec<Row<Which>> = vec![
        ("all", all(), 900),
        (
            "alert",
            Which {
                alert_id: Some(77),
                ..all()
            },
            20,
        ),
        (
            "host",
            Which {
                hostname: some("host77"),
                ..all()
            },
            1500,
        ),
        (
            "channel, rare",
            Which {
                channel: some("rare"),
                ..all()
            },
            900,
        ),
        (
            "channel, common",
            Which {
                channel: some("pager"),
                ..all()
            },
            900,
        ),
        (
            "accepted",
            Which {
                state: some("accepted"),
                ..all()
            },
            900,
        ),
        (
            "refused",
            Which {
                state: some("refused"),
                ..all()
            },
            900,
        ),
        (
            "pending",
            Which {
                state: some("pending"),
                ..all()
            },
            10,
        ),
        (
            "scope, rare",
            Which {
                scope: Some(vec!["rare".to_owned()]),
                ..all()
            },
            31_000,
        ),
    ];
    each_field_has_a_row(&rows, |which| {
        let Which {
            alert_id,
            hostname,
            channel,
            state,
            scope,
        } = which;
        [
            alert_id.is_some(),
            hostname.is_some(),
            channel.is_some(),
            state.is_some(),
            scope.is_some(),
        ]
    });
    for (name, which, most) in rows {
        for after in [0, LATE] {
            let page = notifications::page(&meter.pool, &which, after, 100).await;
            let shown = page.map(|page| page.len());
            meter
                .note(
                    &format!("notifications, {name}, after {after}"),
                    most,
                    shown,
                )
                .await;
        }
    }
}

async fn ask_audit(meter: &mut Meter) {
    use audit::Which;
    let all = Which::default;
    let ago = |minutes: u64| Some(Utc::now() - Duration::from_secs(60 * minutes));
    let rows: Vec<Row<Which>> = vec![
        ("all", all(), 100),
        (
            "actor, rare",
            Which {
                actor: some("rare"),
                ..all()
            },
            100,
        ),
        (
            "actor, common",
            Which {
                actor: some("ann"),
                ..all()
            },
            150,
        ),
        (
            "action, rare",
            Which {
                action: some("rare"),
                ..all()
            },
            100,
        ),
        (
            "action, common",
            Which {
                action: some("set_owner"),
                ..all()
            },
            150,
        ),
        (
            "subject, rare",
            Which {
                subject: some("rare"),
                ..all()
            },
            100,
        ),
        (
            "subject, common",
            Which {
                subject: some("check 3"),
                ..all()
            },
            900,
        ),
        (
            "from, late",
            Which {
                from: ago(60),
                ..all()
            },
            250,
        ),
        (
            "from, in the middle",
            Which {
                from: ago(25_000),
                ..all()
            },
            250,
        ),
        (
            "to, in the middle",
            Which {
                to: ago(25_000),
                ..all()
            },
            250,
        ),
        (
            "to, early",
            Which {
                to: ago(49_950),
                ..all()
            },
            250,
        ),
        (
            "from to come",
            Which {
                from: Some(Utc::now() + Duration::from_secs(60)),
                ..all()
            },
            10,
        ),
    ];
    each_field_has_a_row(&rows, |which| {
        let Which {
            actor,
            action,
            subject,
            from,
            to,
        } = which;
        [
            actor.is_some(),
            action.is_some(),
            subject.is_some(),
            from.is_some(),
            to.is_some(),
        ]
    });
    for (name, which, most) in rows {
        for after in [0, LATE] {
            let page = audit::page(&meter.pool, &which, after, 100).await;
            let shown = page.map(|page| page.len());
            meter
                .note(&format!("audit, {name}, after {after}"), most, shown)
                .await;
        }
        for before in [i64::MAX, 1000] {
            let page = audit::page_of_newest(&meter.pool, &which, before, 100).await;
            let shown = page.map(|page| page.len());
            meter
                .note(
                    &format!("audit, newest, {name}, before {before}"),
                    most,
                    shown,
                )
                .await;
        }
    }
}

async fn ask_hosts(meter: &mut Meter) {
    use hosts::Which;
    let all = Which::default;
    // with a host come its checks
    let rows: Vec<Row<Which>> = vec![
        ("all", all(), 10_500),
        (
            "host_id",
            Which {
                host_id: Some(77),
                ..all()
            },
            300,
        ),
        (
            "role, rare",
            Which {
                role: some("seldom"),
                ..all()
            },
            200,
        ),
        (
            "role, common",
            Which {
                role: some("lonely"),
                ..all()
            },
            900,
        ),
        (
            "scope",
            Which {
                scope: Some(vec!["seldom".to_owned()]),
                ..all()
            },
            200,
        ),
    ];
    each_field_has_a_row(&rows, |which| {
        let Which {
            host_id,
            role,
            scope,
        } = which;
        [host_id.is_some(), role.is_some(), scope.is_some()]
    });
    for (name, which, most) in rows {
        for after in [0, LATE] {
            let page = hosts::page(&meter.pool, &which, after, 100).await;
            let shown = page.map(|page| page.len());
            meter
                .note(&format!("hosts, {name}, after {after}"), most, shown)
                .await;
        }
    }
    let scope = vec!["lonely".to_owned()];
    for (name, asked, scope) in [
        ("name", "host77", None),
        ("address", "10.0.0.77", None),
        ("address of very many", "10.9.9.9", None),
        ("address within a scope", "10.9.9.9", Some(scope.as_slice())),
        ("name of nobody", "nobody", None),
    ] {
        let found = hosts::find_id(&meter.pool, asked, scope).await;
        let shown = found.map(|found| usize::from(found.is_some()));
        meter.note(&format!("a host by {name}"), 600, shown).await;
    }
    for start in ["host4", "10.9"] {
        let found = hosts::beginning_with(&meter.pool, start, None, 100).await;
        // one address is listed once, however many have it
        meter
            .note(
                &format!("hosts that begin with {start}"),
                MANY + 400,
                found.map(|names| names.len()),
            )
            .await;
    }
}

async fn ask_maintenances(meter: &mut Meter) {
    use maintenances::Which;
    let rows: Vec<Row<Which>> = vec![
        (
            "present",
            Which {
                with_past: false,
                host_id: None,
            },
            100,
        ),
        (
            "also past",
            Which {
                with_past: true,
                host_id: None,
            },
            150,
        ),
        (
            "present, host",
            Which {
                with_past: false,
                host_id: Some(77),
            },
            100,
        ),
        // patterns have no index: what matches nothing is looked for in all that ever were
        (
            "also past, host",
            Which {
                with_past: true,
                host_id: Some(99),
            },
            2 * MANY + 400,
        ),
    ];
    each_field_has_a_row(&rows, |which| {
        let Which { with_past, host_id } = which;
        [*with_past, host_id.is_some()]
    });
    for (name, which, most) in rows {
        for after in [0, LATE] {
            let page = maintenances::page(&meter.pool, &which, after, 100).await;
            let shown = page.map(|page| page.len());
            meter
                .note(&format!("maintenances, {name}, after {after}"), most, shown)
                .await;
        }
    }
}

async fn ask_what_is_not_filtered(meter: &mut Meter) {
    let changes = state_changes::last(&meter.pool, 1, "check77", 100).await;
    let shown = changes.map(|changes| changes.map_or(0, |changes| changes.len()));
    // a row of each day's index more
    meter.note("state changes of a check", 120, shown).await;
    let found = notes::last(&meter.pool, "host77", 100).await;
    meter
        .note("notes of a host", 250, found.map(|found| found.len()))
        .await;
    let now = Utc::now();
    for (name, seconds, step_s) in [("minutes", 3600, 60), ("hours", 360_000, 3600)] {
        let from = now - Duration::from_secs(seconds);
        let points = samples::of_series(&meter.pool, &[77], from, now, step_s).await;
        meter
            .note(
                &format!("samples in {name}"),
                400,
                points.map(|points| points.len()),
            )
            .await;
    }
    for after in ["", "user49"] {
        let page = users::page(&meter.pool, after, 100).await;
        meter
            .note(
                &format!("users after {after:?}"),
                110,
                page.map(|page| page.len()),
            )
            .await;
    }
    for after in [0, LATE] {
        let page = api_keys::page(&meter.pool, after, 100).await;
        meter
            .note(
                &format!("keys after {after}"),
                110,
                page.map(|page| page.len()),
            )
            .await;
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Counts what is read for a page, by index or one after the other.
struct Meter {
    /// One connection, so that it can be asked what it has read.
    pool: PgPool,
    when: &'static str,
    seen: Cost,
    all: Vec<String>,
    dear: Vec<String>,
}

/// Rows, and pages of tables and indexes.
#[derive(Debug, Clone, Copy)]
struct Cost {
    rows: i64,
    buffers: i64,
}

impl Meter {
    async fn of(database: &TestDatabase) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .connect(database.url())
            .await
            .expect("the database answers");
        Self {
            seen: read(&pool).await,
            pool,
            when: "",
            all: Vec::new(),
            dear: Vec::new(),
        }
    }

    /// Runs this, and counts from then on.
    async fn begin(&mut self, when: &'static str, statements: &str) {
        for statement in statements
            .split_inclusive(';')
            .filter(|statement| !statement.trim().is_empty())
        {
            // vacuum stands alone
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))
                .execute(&self.pool)
                .await
                .unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        self.when = when;
        self.seen = read(&self.pool).await;
    }

    /// Notes what was read since the last time, which should be at most so many rows.
    async fn note(&mut self, what: &str, most: i64, shown: sqlx::Result<usize>) {
        let shown = shown.expect("a page can be read");
        let now = read(&self.pool).await;
        let rows = now.rows - self.seen.rows;
        let buffers = now.buffers - self.seen.buffers;
        self.seen = now;
        let line = format!(
            "{what}, {}: {shown} shown, {rows} rows of at most {most}, {buffers} buffers",
            self.when
        );
        // a row is found by a descent of three pages, and is one itself
        if rows > most || buffers > 5 * most + 100 {
            self.dear.push(line.clone());
        }
        self.all.push(line);
    }

    fn verdict(&self) {
        eprintln!("{}", self.all.join("\n"));
        assert!(
            self.dear.is_empty(),
            "too much is read:\n{}",
            self.dear.join("\n")
        );
    }
}

async fn read(pool: &PgPool) -> Cost {
    for statement in ["select pg_stat_force_next_flush()", "select 1"] {
        sqlx::query(statement)
            .execute(pool)
            .await
            .expect("the database answers");
    }
    let (rows, buffers) = sqlx::query_as(
        "select (select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) from pg_stat_user_tables)::bigint,
                (select sum(heap_blks_read + heap_blks_hit + coalesce(idx_blks_read + idx_blks_hit, 0)) from pg_statio_user_tables)::bigint",
    )
    .fetch_one(pool)
    .await
    .expect("counters can be read");
    Cost { rows, buffers }
}
