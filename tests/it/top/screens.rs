//! What is to be seen: screens as people have them, at a desk and on a phone.

use insta::assert_snapshot;
use stalker_tests::terminal::Terminal;

use super::{Site, drawn, select};

/// At a desk, and on a phone.
const SIZES: [(&str, u16, u16); 2] = [("desk", 24, 80), ("phone", 20, 40)];

#[tokio::test]
async fn the_list_is_grouped_by_host_with_floods_folded_and_silent_hosts_apart() {
    let site = Site::in_trouble().await;
    for (name, rows, columns) in SIZES {
        let mut terminal = site.open(rows, columns).await;
        assert_snapshot!(format!("list-{name}"), still(&terminal).await);
        select(&mut terminal, "FLOD").await;
        terminal.type_text("\r");
        terminal
            .wait_for("its members", |screen| screen.contains("▾"))
            .await;
        assert_snapshot!(format!("flood-{name}"), still(&terminal).await);
    }
}

#[tokio::test]
async fn details_tell_everything_about_a_check() {
    let site = Site::in_trouble().await;
    site.execute(
        "insert into state_changes (check_id, hostname, check_name, at, status, unreachable, hard, out, owner)
             select check_id, 'web1.example.net', 'check_load', now() - interval '3 h', 2, false, true,
                    'CRITICAL - load average: 24.11, 18.02, 9.77 is far too much for a machine of this size' || chr(10) || 'top: postgres 97%', ''
             from checks join hosts using (host_id) where name = 'check_load' and hostname like 'web1%';",
    )
    .await;
    for (name, rows, columns) in SIZES {
        let mut terminal = site.open(rows, columns).await;
        select(&mut terminal, "check_load").await;
        terminal.type_text("\r");
        let is_whole =
            |screen: &str| screen.contains("opened") && !screen.lines().any(|line| line == "…");
        terminal.wait_for("all its parts", is_whole).await;
        assert_snapshot!(format!("details-{name}"), still(&terminal).await);
    }
}

#[tokio::test]
async fn the_help_sheet_lists_every_key() {
    let site = Site::in_trouble().await;
    for (name, rows, columns) in SIZES {
        let mut terminal = site.open(rows, columns).await;
        terminal.type_text("?");
        terminal
            .wait_for("the sheet", |screen| screen.contains("one line down, up"))
            .await;
        assert_snapshot!(format!("help-{name}"), still(&terminal).await);
        terminal.type_text("q");
        terminal.wait_for("the list", super::is_listed).await;
    }
}

#[tokio::test]
async fn questions_stand_below_the_list() {
    let site = Site::in_trouble().await;
    for (name, rows, columns) in SIZES {
        let mut terminal = site.open(rows, columns).await;
        select(&mut terminal, "check_load").await;
        for (question, keys, shows, leave) in [
            ("filter", "/web1", "2 match", "\u{1b}"),
            ("note", "n", "note about", "\u{1b}"),
            ("maintenance", "M", "maintenance of all of", "\u{1b}"),
            ("removal", "X", "Remove the host", "n"),
        ] {
            terminal.type_text(keys);
            terminal
                .wait_for(question, |screen| screen.contains(shows))
                .await;
            assert_snapshot!(format!("{question}-{name}"), still(&terminal).await);
            terminal.type_text(leave);
            // an escape and what comes with it would be one key
            let is_gone = |screen: &str| super::is_listed(screen) && !screen.contains(shows);
            terminal.wait_for("the list", is_gone).await;
        }
    }
}

#[tokio::test]
async fn what_cannot_be_reached_is_told_above() {
    let mut site = Site::in_trouble_beside(|ours| {
        // nobody listens there
        ours.set("clusters.south.host", "http://127.0.0.1:1")
            .set("clusters.south.key", "key")
    })
    .await;
    let mut terminals = Vec::new();
    for (name, rows, columns) in SIZES {
        let mut terminal = site.open(rows, columns).await;
        terminal
            .wait_for("the cluster", |screen| screen.contains("cluster south"))
            .await;
        // whichever answered first has the selection
        select(&mut terminal, "FLOD").await;
        assert_snapshot!(format!("cluster-{name}"), still(&terminal).await);
        terminals.push((name, terminal));
    }
    site.component.process.kill();
    for (name, terminal) in terminals {
        let is_lost = |screen: &str| screen.contains("✗ no answer since");
        let screen = drawn(&terminal, "that the server is lost", is_lost).await;
        let lines: Vec<_> = screen
            .lines()
            .map(|line| timeless(&clockless(line)))
            .collect();
        assert_snapshot!(format!("lost-{name}"), lines.join("\n"));
    }
}

/// Without when and where the server was lost, and without what turns while it is asked.
fn clockless(line: &str) -> String {
    let line = line.replace(['⠋', '⠙', '⠴', '⠦'], " ");
    let line = match line.split_once("✗ no answer since ") {
        Some((before, _)) => format!("{before}✗ no answer since …"),
        None => line,
    };
    line.trim_end().to_owned()
}

/// The screen when nothing is being asked, with times that differ from run to run made the same.
async fn still(terminal: &Terminal) -> String {
    let is_still = |screen: &str| !screen.contains(['⠋', '⠙', '⠴', '⠦']);
    let screen = drawn(terminal, "nothing is being asked", is_still).await;
    let lines: Vec<_> = screen.lines().map(timeless).collect();
    lines.join("\n")
}

/// `11-30 07:40:11` becomes `MM-DD hh:mm:ss`.
fn timeless(line: &str) -> String {
    const FORM: &str = "MM-DD hh:mm:ss";
    let is_time = |text: &str| {
        text.len() == FORM.len()
            && text.chars().zip(FORM.chars()).all(|(c, form)| {
                if form.is_ascii_alphabetic() {
                    c.is_ascii_digit()
                } else {
                    c == form
                }
            })
    };
    let mut timeless = String::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if rest.get(..FORM.len()).is_some_and(is_time) {
            timeless += FORM;
            rest = &rest[FORM.len()..];
        } else {
            timeless.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    timeless
}
