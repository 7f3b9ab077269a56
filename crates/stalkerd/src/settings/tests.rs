use super::*;

/// Expects an error that holds `text` from the defaults with `extra` on top.
fn refuses(extra: &str, text: &str) {
    let settings = defaults(2).merge(Toml::string(extra)).extract::<Settings>();
    let error = match settings {
        Err(error) => error.to_string(),
        Ok(settings) => format!("{:#}", settings.validate().expect_err(extra)),
    };
    assert!(error.contains(text), "{extra}: {error}");
}

#[test]
fn the_defaults_are_valid() {
    for (cores, slots, connections) in [(1, 200, 16), (2, 200, 20), (4, 400, 28), (64, 1000, 40)] {
        let settings: Settings = defaults(cores).extract().expect("parses");
        settings.validate().expect("is valid");
        assert_eq!(settings.worker.slots, slots);
        assert_eq!(settings.database.max_connections, connections);
    }
    let settings: Settings = defaults(2).extract().expect("parses");
    assert_eq!(settings.alerts.thresholds(), Thresholds::default());
}

#[test]
fn dangerous_combinations_are_refused() {
    refuses(
        "worker.lease = 15",
        "worker.lease is 15 s, but a request may take 15 s",
    );
    refuses(
        "database.max_connections = 7",
        "database.max_connections is 7",
    );
    refuses("api.register_key = ''", "api.register_key is empty");
    refuses("api.api_key = ' '", "api.api_key is empty");
    refuses("worker.check_key = ''", "worker.check_key is empty");
    refuses(
        "worker.check_timeout = 4294967295",
        "worker.check_timeout is 4294967295",
    );
    refuses("worker.lease = 86400", "worker.lease is 86400 s");
    refuses("worker.slots = 3000000000", "worker.slots is 3000000000");
    refuses(
        "scheduler.keep_samples_days = 0",
        "scheduler.keep_samples_days is 0",
    );
    refuses(
        "scheduler.keep_sample_hours_days = 3651",
        "scheduler.keep_sample_hours_days is 3651",
    );
    refuses(
        "scheduler.keep_sample_hours_days = 13",
        "keep_sample_hours_days is 13, less than keep_samples_days, which is 14",
    );
    refuses(
        "scheduler.keep_history_days = 0",
        "scheduler.keep_history_days is 0",
    );
    refuses("worker.slot = 3", "unknown field: found `slot`");
    refuses("[channels.x]\nprovider = 'pigeon'", "pigeon");
    refuses(
        "[channels.'a/b']\nprovider = 'http'\nurl = 'http://h/'",
        "channels.a/b: a name has no slash",
    );
    refuses(
        "[channels.x]\nprovider = 'http'\nurl = 'http://h/'\nservice_keys = 'a'",
        "service_keys",
    );
    refuses(
        "[channels.x]\nprovider = 'http'\nurl = 'ftp://h/'",
        "channels.x",
    );
    refuses(
        "[channels.x]\nprovider = 'http'\nurl = 'http://h/'\nservice_key = ''",
        "channels.x: has an empty key",
    );
    for (provider, text) in [
        ("command'\ncommand = []", "command is empty"),
        ("command'\ncommand = ['true']", "true is no whole path"),
        (
            "command'\ncommand = ['/etc/passwd']",
            "/etc/passwd is no file that may be executed",
        ),
        ("command'\ncommand = ['/tmp']", "/tmp is no file"),
        (
            "telegram'\nchat_id = 1\ntoken = '1:a/../b'",
            "token is none",
        ),
        ("telegram'\nchat_id = ''\ntoken = '1:a'", "chat_id is empty"),
        ("ntfy'\ntopic = 'a/b'", "topic must be"),
    ] {
        refuses(&format!("[channels.x]\nprovider = '{provider}"), text);
    }
}

#[test]
fn channels_and_routes_that_lead_nowhere_are_refused() {
    let channels = "[channels.a]\nprovider = 'http'\nurl = 'http://h/'\n[channels.b]\nprovider = 'http'\nurl = 'http://h/'\n";
    let with = |extra: &str, text: &str| refuses(&format!("{extra}\n{channels}"), text);
    with(
        "routes = [{ channels = ['c'] }]",
        "route 1 of [[routes]]: channels names c, which is not configured",
    );
    with(
        "routes = [{ channels = ['a'] }, { channels = [] }]",
        "route 2 of [[routes]]: channels is empty",
    );
    with(
        "routes = [{ match = { hosts = 'x' }, channels = ['a'] }]",
        "hosts",
    );
    with(
        "routes = [{ match = { priority = 0 }, channels = ['a'] }]",
        "match.priority is 0",
    );
    with(
        "routes = [{ match = { status = 'DOWN' }, channels = ['a'] }]",
        "match.status is DOWN",
    );
    with(
        "routes = [{ match = { host = [] }, channels = ['a'] }]",
        "match.host is an empty list",
    );
    let fallback = |channel: &str, name: &str| {
        format!("[channels.{channel}]\nprovider = 'http'\nurl = 'http://h/'\nfallback = '{name}'\n")
    };
    refuses(
        &fallback("a", "b"),
        "channels.a.fallback is b, which is not configured",
    );
    refuses(
        &fallback("a", "a"),
        "channels.a.fallback goes in a circle: a -> a",
    );
    refuses(
        &(fallback("a", "b") + &fallback("b", "a")),
        "goes in a circle: a -> b -> a",
    );
}

#[test]
fn a_route_takes_one_value_or_a_list() {
    let settings: Settings = defaults(2)
        .merge(Toml::string(
            "[channels.a]\nprovider = 'http'\nurl = 'http://h/'\nprefix = 'P:'\nprevious_keys = ['old']\n\
             [[routes]]\nmatch = { role = 'db*', priority = [1], status = ['critical', 'unreachable'] }\nchannels = ['a']\ncontinue = true",
        ))
        .extract()
        .expect("parses");
    settings.validate().expect("is valid");
    let route = &settings.routes[0];
    assert_eq!(route.matches.role, Some(vec!["db*".to_owned()]));
    assert_eq!(route.matches.priority, Some(vec![1]));
    assert!(route.continues);
    assert_eq!(settings.channels["a"].prefix, "P:");
}

#[test]
fn clusters_that_nobody_could_ask_are_refused() {
    let with = |id: &str, settings: &str, text: &str| {
        refuses(&format!("[clusters.'{id}']\n{settings}"), text);
    };
    let good = "host = 'http://h'\nkey = 'k'";
    with("all", good, "clusters.all: \"all\" stands for all clusters");
    with(
        "a/b",
        good,
        "clusters.a/b: an id is not empty, and has no slash",
    );
    with("x", "host = 'http://h'", "missing field `key`");
    with("x", "key = 'k'", "missing field `host`");
    with(
        "x",
        &format!("{good}\nname = 'y'"),
        "unknown field: found `name`",
    );
    with("x", "host = 'h'\nkey = 'k'", "clusters.x: host is no URL");
    with(
        "x",
        "host = 'ftp://h'\nkey = 'k'",
        "clusters.x: host begins with https:// or http://",
    );
    with(
        "x",
        "host = 'http://u:p@h'\nkey = 'k'",
        "clusters.x: host holds a user or a password",
    );
    with(
        "x",
        "host = 'http://h/?a'\nkey = 'k'",
        "clusters.x: host holds a ? or a #",
    );
    with(
        "x",
        "host = 'http://h'\nkey = ''",
        "clusters.x: key is empty",
    );
    with(
        "x",
        "host = 'http://h'\nkey = \"a\\nb\"",
        "clusters.x: key is empty, or has characters that no key has",
    );
    with(
        "x",
        &format!("{good}\nca_file = '/nowhere'"),
        "clusters.x: ca_file: cannot read /nowhere",
    );
    with(
        "x",
        &format!("{good}\nca_file = '/dev/null'"),
        "ca_file: /dev/null has no certificate",
    );
    refuses("api.remote_timeout = 0", "api.remote_timeout is 0 s");
    refuses("api.remote_timeout = 13", "api.remote_timeout is 13 s");
    refuses("api.cache_ttl = 3601", "api.cache_ttl is 3601 s");
    refuses(
        "alerts.cluster_down_after = 0",
        "alerts.cluster_down_after is 0",
    );
    let own =
        "[api]\ncluster_id = 'x'\nregister_key = 'r'\n[clusters.x]\nhost = 'http://h'\nkey = 'k'";
    let settings: Settings = defaults(2)
        .merge(Toml::string(own))
        .extract()
        .expect("parses");
    let refused = settings.for_api().err().expect("it is itself");
    assert!(
        refused
            .to_string()
            .starts_with("clusters.x is this installation itself"),
        "{refused}"
    );
}
