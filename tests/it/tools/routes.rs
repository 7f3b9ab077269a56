//! `stalkerd routes test`: who would be told under a configuration that need not be live.

use stalker_tests::until::until_seen;

use super::*;

/// `db1` with roles and two checks, one of which is less urgent; and `idle`, whose check is only shown.
const HOSTS: &str = "
    insert into hosts (hostname, ip, roles) values ('db1', '127.0.0.1', '{db,server}'), ('idle', '127.0.0.1', '{}');
    insert into checks (host_id, name, declared_interval_s, declared_follow_up_s, declared_priority) values (1, 'check_disk', 60, 60, 1), (1, 'check_load', 60, 60, 2), (2, 'check_x', 60, 60, 0);
    insert into check_state (check_id, interval_s, phase_ms, due_at) select check_id, 60, 0, now() from checks;
    insert into channels (name, provider, repeat_s) values ('live', 'http', 3600);
    insert into routes (position, channels) values (1, '{live}'), (2, '{live}'), (3, '{live}'), (4, '{live}');";

/// Routes by role and by urgency; nothing for the rest.
const ROUTES: &str = r#"[
    { match = { role = "db*", priority = 1, status = ["critical", "unreachable"] }, channels = ["oncall"], continue = true },
    { match = { host = "db1" }, channels = ["mail"] },
    { match = { role = "web", kind = "agent", check = "check_h*" }, channels = ["oncall"] },
    { match = { kind = "cluster", host = "sou*", status = "unreachable" }, channels = ["mail"] },
]"#;

struct Stage {
    database: TestDatabase,
    installation: Installation,
}

impl Stage {
    async fn new() -> Self {
        let database = TestDatabase::new().await;
        execute(database.pool(), HOSTS).await;
        let routes: toml::Table = format!("routes = {ROUTES}").parse().expect("routes");
        let installation = Installation::new(&database)
            .channel("oncall", "http://127.0.0.1:1/")
            .set("channels.oncall.fallback", "mail")
            .channel("mail", "http://127.0.0.1:1/")
            .set("channels.mail.fallback", "sms")
            .channel("sms", "http://127.0.0.1:1/")
            .set("routes", routes["routes"].clone());
        Self {
            database,
            installation,
        }
    }

    /// Asks about an alert; whether somebody would be told, and what was said.
    async fn ask(&self, options: &str) -> (bool, String) {
        let options = options.split(' ').map(|option| option.trim_matches('\''));
        let arguments: Vec<&str> = ["routes", "test"].into_iter().chain(options).collect();
        self.installation.configured_tool(&arguments, &[]).await
    }
}

#[tokio::test]
async fn it_says_who_would_be_told_and_by_which_route() {
    let stage = Stage::new().await;
    let on_call = "oncall is told (route 1); what oncall does not take goes to mail; what mail does not take goes to sms";
    let mail = "mail is told (route 2); what mail does not take goes to sms";
    for (options, alert, told) in [
        (
            "--host db1 --check check_disk --status critical",
            "check_disk on db1 (roles db, server; kind agent, priority 1) is critical:\n",
            format!("{mail}\n{on_call}"),
        ),
        (
            "--host db1 --check check_disk",
            "check_disk on db1 (roles db, server; kind agent, priority 1) is critical:\n",
            format!("{mail}\n{on_call}"),
        ),
        (
            "--host db1 --check check_load --status warning",
            "check_load on db1 (roles db, server; kind agent, priority 2) is warning:\n",
            mail.to_owned(),
        ),
        // as it might become
        (
            "--host db1 --check check_load --priority 1 --kind agent",
            "check_load on db1 (roles db, server; kind agent, priority 1) is critical:\n",
            format!("{mail}\n{on_call}"),
        ),
        (
            "--host db1 --check check_disk --role server",
            "check_disk on db1 (roles server; kind agent, priority 1) is critical:\n",
            mail.to_owned(),
        ),
        // the host itself, as urgent as the most urgent of its checks
        (
            "--host db1",
            "db1 (roles db, server; priority 1) is unreachable:\n",
            format!("{mail}\n{on_call}"),
        ),
        // another cluster
        (
            "--cluster south",
            "cluster south (kind cluster, priority 1) is unreachable:\n",
            mail.replace("route 2", "route 4"),
        ),
        // a host and a check that are still to come
        (
            "--host web9 --check check_http --role web,edge --status unknown --priority 7",
            "check_http on web9 (roles web, edge; kind agent, priority 2) is unknown:\n",
            on_call.replace("route 1", "route 3"),
        ),
    ] {
        let (succeeded, said) = stage.ask(options).await;
        assert_eq!(said, format!("{alert}{told}"), "{options}");
        assert!(succeeded, "{options}");
    }
    // nothing of it has become live
    let live: Vec<String> = sqlx::query_scalar(
        "select name from channels where retired_at is null union all select 'route ' || position from routes where channels = '{live}'
         union all select hostname from hosts order by 1",
    )
    .fetch_all(stage.database.pool())
    .await
    .expect("the tables are as expected");
    assert_eq!(
        live,
        [
            "db1", "idle", "live", "route 1", "route 2", "route 3", "route 4"
        ]
    );
}

#[tokio::test]
async fn it_fails_if_nobody_would_be_told() {
    let stage = Stage::new().await;
    for (options, expected) in [
        (
            "--host web9 --check check_disk --role web",
            "check_disk on web9 (roles web; kind agent, priority 1) is critical: nobody would be told, for no route matches",
        ),
        (
            "--cluster west",
            "cluster west (kind cluster, priority 1) is unreachable: nobody would be told, for no route matches",
        ),
        ("--cluster west --host db1", "cannot be used with"),
        (
            "--host web9 --role ''",
            "web9 (no roles; priority 1) is unreachable: nobody would be told, for no route matches",
        ),
        (
            "--host db1 --check check_disk --priority 0",
            "check_disk on db1 (roles db, server; kind agent, priority 0) is critical: nobody would be told, for priority 0 is only shown",
        ),
        (
            "--host idle",
            "idle (no roles; priority 0) is unreachable: nobody would be told, for priority 0 is only shown",
        ),
        (
            "--host web9 --check check_disk",
            "no host web9 is registered: say by --role which roles it is to have; --role \"\" is none",
        ),
        (
            "--host db1 --status critical",
            "say by --check which check that is; a host alone is unreachable",
        ),
        (
            "--host db1 --check check_disk --status unreachable",
            "a host is unreachable, not a check: leave out --check",
        ),
        ("--host db1 --check x --status ok", "invalid value 'ok'"),
        ("--host db1 --check x --kind http", "invalid value 'http'"),
        ("--check x", "--host <NAME>"),
    ] {
        let (succeeded, said) = stage.ask(options).await;
        assert!(!succeeded && said.contains(expected), "{options}: {said}");
    }
    let (succeeded, said) = stage
        .installation
        .tool(&["routes", "test", "--host", "db1"])
        .await;
    assert!(!succeeded, "{said}");
    assert!(
        said.contains("this configuration has no channels"),
        "{said}"
    );
}

/// Without routes everybody is told; what is disabled now is told of.
#[tokio::test]
async fn every_channel_without_routes() {
    let stage = Stage::new().await;
    let installation = Installation::new(&stage.database).channel("live", "http://127.0.0.1:1/");
    let ask = async || {
        let arguments = ["routes", "test", "--host", "db1"];
        installation.configured_tool(&arguments, &[]).await.1
    };
    let told = "db1 (roles db, server; priority 1) is unreachable:\nlive is told (no routes: every channel)";
    assert_eq!(ask().await, told);

    let _worker = installation.start("worker").await;
    let is_live = async || {
        let sql = "select settings_id is not null from channels where name = 'live'";
        let is_live: bool = sqlx::query_scalar(sql)
            .fetch_one(stage.database.pool())
            .await
            .expect("the channel is there");
        is_live
    };
    until_seen("the channel is configured", PATIENCE, is_live, |is| *is).await;
    execute(
        stage.database.pool(),
        "update channels set disabled_at = now(), disabled_why = 'HTTP 410'",
    )
    .await;
    let disabled = format!("{told}; but live is disabled now: HTTP 410");
    assert_eq!(ask().await, disabled);
}
