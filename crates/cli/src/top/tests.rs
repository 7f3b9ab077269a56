//! Stories told to the model: what is seen and pressed, and what is asked of the server for it.

mod sizes;

use std::sync::Arc;
use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::{Value, json};

use super::actions::Deed;
use super::model::{
    Act, Call, Calls, Event, Model, News, Now, Request, Source, Tone, Trouble, Verb,
};
use super::rows::{Key, Row};
use super::wire;

/// When the stories begin, unix seconds.
const BEGINNING: i64 = 1_900_000_000;

/// A model, and the time that passes for it.
struct Story {
    model: Model,
    elapsed_s: u64,
}

impl Story {
    fn new() -> Self {
        let refresh = Duration::from_secs(5);
        let url = "http://here.example.net".to_owned();
        let mut story = Self {
            model: Model::new("ann".to_owned(), url, refresh, (80, 24)),
            elapsed_s: 0,
        };
        assert_eq!(
            story.happens(Event::Tick),
            [Source::Here, Source::Clusters].map(Request::Ask)
        );
        story
    }

    fn happens(&mut self, event: Event) -> Vec<Request> {
        let now = Now {
            unix: BEGINNING + i64::try_from(self.elapsed_s).expect("stories are short"),
            elapsed: Duration::from_secs(self.elapsed_s),
        };
        self.model.update(event, now)
    }

    /// Our server answers with these failing checks and open alerts.
    fn told(&mut self, checks: &Value, alerts: Option<&Value>) {
        let news = News::Here {
            cluster: "east".to_owned(),
            problems: wire::problems("east", checks),
            alerts: alerts.map(|alerts| wire::alerts(&json!({ "alerts": alerts }))),
            checks: Some(100),
        };
        self.happens(Event::Told(Source::Here, Ok(news)));
    }

    /// Presses keys; gives what is to be done for the last one.
    fn presses(&mut self, keys: &str) -> Vec<Request> {
        let mut requests = Vec::new();
        for c in keys.chars() {
            let code = match c {
                '\r' => KeyCode::Enter,
                '\u{1b}' => KeyCode::Esc,
                c => KeyCode::Char(c),
            };
            requests = self.happens(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        }
        requests
    }

    fn selected(&self) -> Option<Key> {
        self.model.rows.lines[self.model.selected].key()
    }
}

fn check(id: &str, host: &str, name: &str) -> Value {
    json!({"id": id, "hostname": host, "check": name, "status": false, "state": "critical", "out": "CRITICAL", "owner": "",
           "since": BEGINNING - 100, "fail_count": 3})
}

fn trouble(status: Option<u16>) -> Trouble {
    Trouble {
        status,
        words: "no".to_owned(),
    }
}

fn these(act: &Act) -> &[Call] {
    match &act.calls {
        Calls::These(calls) => calls,
        Calls::OfHost { .. } => &[],
    }
}

fn at(id: &str) -> Option<Key> {
    Some(Key::Check("east".to_owned(), id.to_owned()))
}

#[test]
fn keys_become_calls() {
    let own = json!({"owner": "ann"});
    let (suspended, resumed) = (json!({"suspended": true}), json!({"suspended": false}));
    let now = json!({"next": "now"});
    for (keys, expected) in [
        ("o", vec![(Verb::Post, "/checks/id/1/owner", &own)]),
        (
            "O",
            vec![
                (Verb::Post, "/checks/id/1/owner", &own),
                (Verb::Post, "/checks/id/2/owner", &own),
            ],
        ),
        (
            "d",
            vec![(Verb::Delete, "/checks/id/1/owner", &Value::Null)],
        ),
        ("c", vec![(Verb::Post, "/checks/id/1/next", &now)]),
        (
            "p",
            vec![(Verb::Post, "/checks/id/1/suspended", &suspended)],
        ),
        ("u", vec![(Verb::Post, "/checks/id/1/suspended", &resumed)]),
        ("x", vec![]),
        ("xn", vec![]),
        ("x\r", vec![]),
        ("xy", vec![(Verb::Delete, "/checks/id/1", &Value::Null)]),
        ("Xy", vec![(Verb::Delete, "/hosts/w%2F1", &Value::Null)]),
        // after the question is answered, the answer means nothing
        ("xnyy", vec![]),
        ("n\r", vec![]),
        (
            "nhm\r",
            vec![(
                Verb::Post,
                "/notes/w%2F1",
                &json!({"user": "ann", "note": "hm"}),
            )],
        ),
        (
            "m\rwork\r",
            vec![(
                Verb::Post,
                "/maintenances",
                &json!({"hosts": ["w/1"], "checks": ["a"], "lasts": 3600, "reason": "work"}),
            )],
        ),
        (
            "M\rwork\r",
            vec![(
                Verb::Post,
                "/maintenances",
                &json!({"hosts": ["w/1"], "lasts": 3600, "reason": "work"}),
            )],
        ),
        ("z", vec![]),
    ] {
        let mut story = Story::new();
        let checks = json!([
            check("1", "w/1", "a"),
            check("2", "w/1", "b"),
            check("3", "w2", "a")
        ]);
        story.told(&checks, None);
        story.presses("ggg");
        while story.selected() != at("1") {
            story.presses("j");
        }
        let requests = story.presses(keys);
        let calls: Vec<_> = requests
            .iter()
            .filter_map(|request| match request {
                Request::Do(act) => Some(these(act)),
                _ => None,
            })
            .flatten()
            .map(|call| (call.verb, call.path.as_str(), &call.body))
            .collect();
        assert_eq!(calls, expected, "{keys:?}");
    }
}

#[test]
fn capitals_act_on_all_checks_of_a_host_those_that_are_well_too() {
    for (key, deed) in [
        ("C", Deed::Recheck),
        ("P", Deed::Suspend),
        ("U", Deed::Resume),
    ] {
        let mut story = Story::new();
        story.told(&json!([check("1", "w/1", "a")]), None);
        let requests = story.presses(key);
        let is_of_host = |request: &Request| {
            matches!(request, Request::Do(Act { calls: Calls::OfHost { prefix, host, deed: done, .. }, .. })
                if prefix.is_empty() && host == "w/1" && *done == deed)
        };
        assert!(requests.iter().any(is_of_host), "{key}: {requests:?}");
    }
    let answer = json!({"checks": [{"id": "1"}, {"id": "a/2"}, {}]});
    let calls = Deed::Recheck.calls("/global/west", "ann", &answer);
    let paths: Vec<&str> = calls.iter().map(|call| call.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/global/west/checks/id/1/next",
            "/global/west/checks/id/a%2F2/next"
        ]
    );
}

#[test]
fn whoever_leaves_while_something_is_done_says_so_twice() {
    let mut story = Story::new();
    story.told(&json!([check("1", "w/1", "a")]), None);
    let requests = story.presses("C");
    let act = requests.into_iter().find_map(|request| match request {
        Request::Do(act) => Some(act),
        _ => None,
    });
    story.presses("q");
    assert!(!story.model.is_over);
    let acted = |act| Event::Acted {
        act,
        calls: 2,
        done: 2,
        troubles: Vec::new(),
        remark: None,
    };
    story.happens(acted(act.expect("it is begun")));
    story.presses("C");
    story.presses("q");
    assert!(!story.model.is_over, "it is told of each");
    story.presses("q");
    assert!(story.model.is_over);
}

#[test]
fn a_source_is_asked_once_at_a_time_and_again_after_an_act() {
    let mut story = Story::new();
    story.elapsed_s = 60;
    assert_eq!(story.happens(Event::Tick), [], "both are still asked");
    story.told(&json!([check("1", "w", "a")]), None);
    story.elapsed_s = 61;
    let act = Act {
        subject: "w/a".to_owned(),
        done: "suspended".to_owned(),
        calls: Calls::These(Vec::new()),
    };
    // the answer had come at 60, and the next question went out with it
    let acted = Event::Acted {
        act,
        calls: 1,
        done: 1,
        troubles: Vec::new(),
        remark: None,
    };
    assert_eq!(story.happens(acted), []);
    assert_eq!(
        story.model.said.as_ref().map(|said| said.tone),
        Some(Tone::Good)
    );
    // what is under way may be from before the act
    let lost = Event::Told(Source::Here, Err(trouble(None)));
    assert_eq!(story.happens(lost), [Request::Ask(Source::Here)]);
    let lost = Event::Told(Source::Here, Err(trouble(None)));
    assert_eq!(
        story.happens(lost),
        [],
        "a lost server is not asked all the time"
    );
    story.elapsed_s = 66;
    assert_eq!(story.happens(Event::Tick), [Request::Ask(Source::Here)]);
    assert_eq!(story.model.rows.all, 1, "what it said last is kept");
}

#[test]
fn who_is_refused_at_first_is_told_so_at_once() {
    for (status, is_over) in [
        (Some(401), true),
        (Some(403), true),
        (Some(500), false),
        (None, false),
    ] {
        let mut story = Story::new();
        story.happens(Event::Told(Source::Here, Err(trouble(status))));
        assert_eq!(story.model.is_over, is_over, "{status:?}");
        let mut story = Story::new();
        story.told(&json!([]), None);
        story.happens(Event::Told(Source::Here, Err(trouble(status))));
        assert!(!story.model.is_over, "it had let us in: {status:?}");
    }
}

#[test]
fn floods_are_folded_and_the_selection_goes_with_them() {
    let mut story = Story::new();
    let checks = json!([
        check("1", "w", "a"),
        check("2", "w", "b"),
        check("3", "v", "a")
    ]);
    story.told(&checks, Some(&json!([])));
    story.presses("G");
    assert_eq!(story.selected(), at("2"));
    let flood = json!([
        {"id": "10", "kind": "flood", "hostname": "w", "opened": BEGINNING},
        {"id": "11", "kind": "check", "cid": "1", "hostname": "w", "parent": "10"},
        {"id": "12", "kind": "check", "cid": "2", "hostname": "w", "parent": "10"},
    ]);
    story.told(&checks, Some(&flood));
    assert_eq!(story.selected(), Some(Key::Flood("10".to_owned())));
    let is_act = |request: &Request| matches!(request, Request::Do(_));
    assert!(
        !story.presses("p").iter().any(is_act),
        "a flood is no check"
    );
    assert!(!story.presses("Xy").iter().any(is_act));
    story.presses("\rjj");
    assert_eq!(story.selected(), at("2"));
    assert!(story.presses("p").iter().any(is_act));
    // soft is what has no alert
    let hard = story.model.rows.lines.iter().filter_map(|row| match row {
        Row::Check {
            problem, is_hard, ..
        } => Some((problem.id.clone(), *is_hard)),
        _ => None,
    });
    let mut hard: Vec<_> = hard.collect();
    hard.sort();
    let expected = [("1", true), ("2", true), ("3", false)];
    assert_eq!(hard, expected.map(|(id, is)| (id.to_owned(), is)));
}

#[test]
fn clusters_come_and_go() {
    let mut story = Story::new();
    story.told(&json!([check("1", "w", "a")]), None);
    let names = ["east", "south", "west"].map(str::to_owned).to_vec();
    let asked = story.happens(Event::Told(Source::Clusters, Ok(News::Clusters(names))));
    let cluster = |name: &str| Source::Cluster(name.to_owned());
    assert_eq!(
        asked,
        [
            Request::Ask(cluster("south")),
            Request::Ask(cluster("west"))
        ]
    );
    let news = News::Cluster {
        problems: wire::problems("west", &json!([check("1", "w", "a")])),
        age: 0,
        error: None,
    };
    story.happens(Event::Told(cluster("west"), Ok(news)));
    story.happens(Event::Told(cluster("south"), Err(trouble(Some(502)))));
    assert_eq!(story.model.rows.all, 2);
    assert_eq!(
        story.model.rows.lines.len(),
        3,
        "south has a line, and hides nobody"
    );
    // the same id on another cluster is another check
    story.presses("G");
    let requests = story.presses("p");
    let expected = "/global/west/checks/id/1/suspended";
    let is_west =
        |request: &Request| matches!(request, Request::Do(act) if these(act)[0].path == expected);
    assert!(requests.iter().any(is_west), "{requests:?}");
    story.happens(Event::Told(
        Source::Clusters,
        Ok(News::Clusters(Vec::new())),
    ));
    assert_eq!(story.model.rows.lines.len(), 1);
    // a late answer of one that is gone
    let late = Event::Told(cluster("west"), Err(trouble(None)));
    assert!(story.happens(late).is_empty());
}

/// Five thousand, on many hosts.
fn many() -> Value {
    let checks = (0..5_000).map(|n| {
        let mut check = check(
            &n.to_string(),
            &format!("host{}.example.net", n / 5),
            &format!("check_{}", n % 5),
        );
        check["since"] = json!(BEGINNING - i64::from(n * 7919 % 5000));
        check
    });
    checks.collect()
}

#[test]
fn five_thousand_are_moved_through_and_filtered() {
    let mut story = Story::new();
    story.told(&many(), Some(&json!([])));
    assert_eq!(story.model.rows.matching, 5_000);
    for _ in 0..100 {
        story.presses("j");
        sizes::draw(&story.model);
    }
    story.presses("/host999.");
    assert_eq!(story.model.rows.matching, 5);
    let problems: Vec<_> = story
        .model
        .rows
        .lines
        .iter()
        .filter_map(Row::problem)
        .collect();
    assert!(
        problems
            .iter()
            .all(|problem| Arc::strong_count(problem) > 1),
        "nothing is copied"
    );
}
