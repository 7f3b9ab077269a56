//! Every page at every size: nothing panics, nothing is wider than the screen.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::json;

use super::{Story, check, trouble};
use crate::top::model::{Event, Model, News, Source};
use crate::top::view::{self, Look};

/// Draws it; gives the lines of the screen.
pub(super) fn draw(model: &Model) -> Vec<String> {
    let (columns, lines) = model.size;
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).expect("it is only memory");
    let look = Look { is_coloured: true };
    terminal
        .draw(|frame| view::draw(frame, model, look))
        .expect("it is only memory");
    let buffer = terminal.backend().buffer();
    (0..lines)
        .map(|y| (0..columns).map(|x| buffer[(x, y)].symbol()).collect())
        .collect()
}

#[test]
fn every_page_is_drawn_at_every_size() {
    let mut story = Story::new();
    let mut wide = check(
        "1",
        "負荷チェック負荷チェック.example.net",
        "check_\u{1b}[2J\u{202e}負荷",
    );
    wide["out"] = json!("CRITICAL \u{7} 負荷 ".repeat(50));
    let mut silent = check("2", "v", "a");
    silent["out"] = json!("<urlopen error [Errno 110] Connection timed out>");
    let flood = json!([
        {"id": "10", "kind": "flood", "hostname": "", "opened": 1},
        {"id": "11", "kind": "check", "cid": "3", "hostname": "w", "parent": "10"},
    ]);
    let checks = json!([wide, silent, check("3", "w", "c"), check("4", "w", "d")]);
    story.told(&checks, Some(&flood));
    let names = vec!["west".to_owned()];
    story.happens(Event::Told(Source::Clusters, Ok(News::Clusters(names))));
    let west = Source::Cluster("west".to_owned());
    story.happens(Event::Told(west, Err(trouble(Some(502)))));
    for keys in [
        "",
        "/",
        "\u{1b}G",
        "kk\r",
        "?",
        "qn",
        "long\u{1b}m",
        "\r",
        "\u{1b}x",
        "nq",
    ] {
        story.presses(keys);
        for is_lost in [false, true] {
            if is_lost {
                story.happens(Event::Told(Source::Here, Err(trouble(None))));
            } else {
                story.told(&checks, Some(&flood));
            }
            for columns in [1, 2, 3, 5, 8, 9, 13, 14, 20, 29, 39, 40, 59, 60, 80, 200] {
                for lines in [1, 2, 3, 4, 7, 8, 11, 12, 24, 60] {
                    story.happens(Event::Resized(columns, lines));
                    let screen = draw(&story.model);
                    assert_eq!(screen.len(), usize::from(lines));
                    let has_control = screen.iter().any(|line| line.contains(char::is_control));
                    assert!(!has_control, "{screen:?}");
                }
            }
        }
    }
}

#[test]
fn the_selected_line_is_seen_on_the_smallest_screens() {
    let mut story = Story::new();
    story.told(
        &json!([
            check("1", "w", "a"),
            check("2", "w", "b"),
            check("3", "w", "c")
        ]),
        None,
    );
    story.presses("jj");
    for (columns, lines) in [(60, 1), (60, 2), (20, 3), (60, 1), (30, 6), (60, 1)] {
        story.happens(Event::Resized(columns, lines));
        let screen = draw(&story.model);
        let is_selected = |line: &String| line.starts_with('›') && line.contains('c');
        assert!(
            screen.iter().any(is_selected),
            "{columns}x{lines}: {screen:?}"
        );
    }
}
