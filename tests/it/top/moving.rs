//! Finding one's way: filter, order, selection, sizes, and the end.

use nix::sys::signal::Signal;
use stalker_tests::process::signal;
use stalker_tests::terminal::Terminal;

use super::{Site, drawn, is_listed, select, selected};

#[tokio::test]
async fn the_filter_follows_while_it_is_typed() {
    let site = Site::in_trouble().await;
    let mut terminal = site.open(24, 80).await;
    terminal.type_text("/disk");
    let screen = terminal
        .wait_for("only disks", |screen| screen.contains("3 match"))
        .await;
    assert!(
        screen.contains("edge7") && screen.contains("web1"),
        "{screen}"
    );
    assert!(!screen.contains("mail1"), "{screen}");
    // words that must all be there; letters are no keys meanwhile
    terminal.type_text(" warn");
    terminal
        .wait_for("one disk", |screen| {
            screen.contains("1 match") && !screen.contains("edge7")
        })
        .await;
    terminal.type_text("\r");
    let screen = terminal
        .wait_for("it stays", |screen| {
            screen.contains("/disk warn  (Esc: all)")
        })
        .await;
    assert!(
        selected(&screen).is_some_and(|line| line.contains("check_disk")),
        "{screen}"
    );
    terminal.type_text("/\u{15}nothing like this");
    terminal
        .wait_for("nothing", |screen| screen.contains("nothing matches"))
        .await;
    terminal.type_text("\u{1b}");
    terminal
        .wait_for("as before", |screen| screen.contains("/disk warn"))
        .await;
    terminal.type_text("\u{1b}");
    terminal
        .wait_for("everything", |screen| screen.contains("mail1"))
        .await;

    // members of a flood are found although it is folded
    terminal.type_text("/check_b\r");
    terminal
        .wait_for("the member", |screen| {
            screen.contains("▾ FLOD") && screen.contains("CRITICAL - b")
        })
        .await;
}

#[tokio::test]
async fn the_order_changes_and_the_selection_stays() {
    let site = Site::in_trouble().await;
    let mut terminal = site.open(24, 80).await;
    select(&mut terminal, "check_queue").await;
    for (order, expected) in [
        (
            "by host",
            "check_backup check_replication check_queue check_disk check_load edge7 edge8",
        ),
        (
            "by state",
            "check_load check_disk check_backup check_replication check_queue edge8 edge7",
        ),
        (
            "by cluster",
            "check_backup check_replication check_queue check_disk check_load edge7 edge8",
        ),
        (
            "by time",
            "check_disk check_load check_replication check_backup check_queue edge8 edge7",
        ),
    ] {
        terminal.type_text("s");
        let screen = terminal
            .wait_for(order, |screen| screen.contains(order))
            .await;
        assert_eq!(lines(&screen), expected, "{order}:\n{screen}");
        let line = selected(&screen).expect("a line is selected");
        assert!(line.contains("check_queue"), "{line}");
    }

    // a refresh brings something newer above, and takes something away
    site.execute(
        "update check_state set status = 2, fails = 3, hard = true, since = now(), out = 'CRITICAL - no greeting'
         where check_id = (select check_id from checks where name = 'check_smtp');
         update check_state set status = 0, fails = 0, hard = false where owner = 'bob';",
    )
    .await;
    let is_new = |screen: &str| screen.contains("check_smtp") && !screen.contains("check_load");
    let screen = terminal.wait_for("the news", is_new).await;
    let line = selected(&screen).expect("a line is selected");
    assert!(line.contains("check_queue"), "{line}");

    // what was selected recovers: the selection goes to its neighbour
    site.execute("update check_state set status = 0 where check_id = (select check_id from checks where name = 'check_queue')")
        .await;
    let is_gone = |screen: &str| !screen.contains("check_queue");
    let screen = terminal.wait_for("it is gone", is_gone).await;
    assert!(
        selected(&screen).is_some_and(|line| line.contains("check_smtp")),
        "{screen}"
    );
}

/// What stands in the list behind the flood, in its order.
fn lines(screen: &str) -> String {
    let names = screen.lines().filter_map(|line| {
        let in_list = line.contains(" warn ")
            || ["CRIT ", "WARN ", "UNKN ", "DOWN "]
                .iter()
                .any(|word| line.contains(word));
        let mut words = line.split_whitespace();
        let wanted = |word: &&str| word.starts_with("check_") || word.starts_with("edge");
        let name = words.find(wanted).filter(|_| in_list)?;
        name.split('.').next()
    });
    names.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn keys_of_the_original_move_and_every_size_is_drawn() {
    let site = Site::in_trouble().await;
    let mut terminal = site.open(24, 80).await;
    let at = async |terminal: &Terminal, text: &str| {
        let is_there = |screen: &str| selected(screen).is_some_and(|line| line.contains(text));
        terminal.wait_for(text, is_there).await;
    };
    for (keys, text) in [
        ("G", "edge7"),
        ("g", "FLOD"),
        ("j", "check_disk"),
        ("\u{1b}[B", "check_load"),
        ("k", "check_disk"),
        ("\u{1b}[A", "FLOD"),
        ("\u{4}", "edge7"),
        ("\u{15}", "FLOD"),
    ] {
        terminal.type_text(keys);
        at(&terminal, text).await;
    }
    // the selected line stays in sight, however few there are
    terminal.type_text("jjj");
    at(&terminal, "check_replication").await;
    for (rows, columns) in [
        (20, 40),
        (6, 30),
        (3, 20),
        (1, 60),
        (2, 1),
        (1, 1),
        (50, 200),
        (24, 80),
    ] {
        terminal.resize(rows, columns);
        let is_right = |screen: &str| match (rows, columns) {
            (_, ..30) => true,
            (1, _) => screen.contains("check_r"),
            (..10, _) => screen.contains("UNKN"),
            _ => screen.contains("check_repl") && screen.contains("failing"),
        };
        let screen = terminal
            .wait_for(&format!("{columns}x{rows}"), is_right)
            .await;
        assert!(
            screen
                .lines()
                .all(|line| line.chars().count() <= columns.into()),
            "{screen}"
        );
        for key in ["?", "q", "\r", "q", "x", "n"] {
            terminal.type_text(key);
        }
    }
    terminal.wait_for("it lives", is_listed).await;
    assert_eq!(site.api.get("/hosts/db1.example.net").await.0, 200);
}

#[tokio::test]
async fn the_terminal_is_given_back() {
    let site = Site::in_trouble().await;
    for how in ["q", "\u{3}", "SIGTERM", "SIGHUP"] {
        let mut terminal = site.open(24, 80).await;
        assert!(
            terminal.is_on_alternate_screen() && !terminal.has_cursor(),
            "it is taken"
        );
        match how {
            "SIGTERM" => signal(terminal.pid(), Signal::SIGTERM),
            "SIGHUP" => signal(terminal.pid(), Signal::SIGHUP),
            keys => terminal.type_text(keys),
        }
        assert_eq!(terminal.ended().await, 0, "{how}");
        let is_back = |_: &str| !terminal.is_on_alternate_screen() && terminal.has_cursor();
        terminal.wait_for("it is given back", is_back).await;
    }
}

#[tokio::test]
async fn colours_only_repeat_what_signs_say() {
    let site = Site::in_trouble().await;
    let terminal = site.open(24, 80).await;
    let coloured = terminal.screen();
    assert!(terminal.is_coloured("● CRIT"));
    let mut command = site.command(&site.api.url);
    command.env("NO_COLOR", "1");
    let terminal = Terminal::start(&command, 24, 80);
    let screen = drawn(&terminal, "the list", is_listed).await;
    assert!(!terminal.is_coloured("● CRIT"));
    let words = |screen: &str| {
        screen
            .lines()
            .skip(1)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(words(&screen), words(&coloured));
}
