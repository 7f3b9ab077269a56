use stalker_db::series::Series;
use stalker_domain::perfdata;

use super::*;

fn printed(text: &str) -> Vec<perfdata::Sample> {
    let read = perfdata::parse(text, false);
    assert_eq!(read.errors, 0, "{text}");
    read.samples
}

/// The series of check 1 as they would be read, with ids from 1 in this order.
fn series(text: &str) -> Vec<Series> {
    let of = |(i, sample): (usize, perfdata::Sample)| Series {
        series_id: i64::try_from(i).expect("few") + 1,
        check_id: 1,
        label: sample.label,
        unit: sample.unit.symbol().to_owned(),
        raw_unit: sample.raw_unit,
        warn: sample.warn,
        crit: sample.crit,
        min: sample.min,
        max: sample.max,
    };
    printed(text).into_iter().enumerate().map(of).collect()
}

/// Expects these `series id=value`, these unknown labels, and so many dropped, of a run of check 1 that knows `known`.
fn check(known: &str, run: &str, expected: &str, unknown: &str, dropped: usize) {
    let mut cache = Cache::default();
    cache.learn(&[1], &series(known));
    let mut offer = Offer {
        since: Instant::now(),
        known: Vec::new(),
        unknown: Vec::new(),
        room: None,
    };
    let lost = offer.add(&cache, 1, DateTime::UNIX_EPOCH, &printed(run));
    let mut found: Vec<String> = (offer.known.iter())
        .map(|sample| format!("{}={}", sample.series_id, sample.value))
        .collect();
    found.sort();
    let mut labels: Vec<&str> = (offer.unknown.iter())
        .map(|unknown| unknown.sample.label.as_str())
        .collect();
    labels.sort_unstable();
    assert_eq!(
        (found.join(" ").as_str(), labels.join(" ").as_str(), lost),
        (expected, unknown, dropped),
        "of {run:?}"
    );
}

fn many(n: usize) -> String {
    (0..n).map(|i| format!("l{i}=1 ")).collect()
}

#[test]
fn samples_find_their_series() {
    check("", "a=1 b=2", "", "a b", 0);
    check("a=0 b=0", "b=2 a=1", "1=1 2=2", "", 0);
    check("a=0", "a=1 b=2", "1=1", "b", 0);
    // in the base unit
    check("a=0ms", "a=1500ms", "1=1.5", "", 0);
}

#[test]
fn the_last_of_a_label_counts() {
    check("a=0", "a=1 a=2 a=3", "1=3", "", 0);
    check("", "a=1 a=2", "", "a", 0);
}

#[test]
fn what_is_no_measurement_is_passed_over() {
    check("a=0 b=0", "a=U b=1", "2=1", "", 0);
    check("a=0 b=0", "a=1e301 b=-1e301", "", "", 0);
    check("a=0", "a=-1e15", "1=-1000000000000000", "", 0);
}

#[test]
fn there_are_bounds() {
    let known = many(OF_A_RUN);
    let mut cache = Cache::default();
    cache.learn(&[1], &series(&known));
    let mut offer = Offer {
        since: Instant::now(),
        known: Vec::new(),
        unknown: Vec::new(),
        room: None,
    };
    let run = printed(&many(OF_A_RUN + 3));
    assert_eq!(offer.add(&cache, 1, DateTime::UNIX_EPOCH, &run), 3);
    assert_eq!((offer.known.len(), offer.unknown.len()), (OF_A_RUN, 0));
    // the thousand and first label of a check
    check(&many(cache::OF_A_CHECK), "l0=1 x=1 y=1", "1=1", "", 2);
}

#[test]
fn a_check_without_series_is_known_to_have_none_and_learns() {
    let mut cache = Cache::default();
    let samples = printed("a=1s;2;3 b=1");
    cache.learn(&[1, 2], &[]);
    assert_eq!(cache.find(2, &samples[0]), Found::Unknown);
    cache.add(1, samples.iter().zip([7, 8]));
    assert_eq!(cache.find(1, &samples[0]), Found::Known(7));
    assert_eq!(cache.find(1, &samples[1]), Found::Known(8));
    assert_eq!(cache.find(2, &samples[0]), Found::Unknown);
    // another threshold: written, but not at once again
    let changed = printed("a=1s;5;6");
    assert!(!cache.is_up_to_date(1, &changed[0]));
    assert_eq!(cache.find(1, &changed[0]), Found::Known(7));
    cache.add(1, changed.iter().zip([7]));
    assert!(cache.is_up_to_date(1, &changed[0]));
    assert_eq!(cache.count(1), 2);
    cache.forget(1);
    assert_eq!(cache.find(1, &samples[0]), Found::Unknown);
    assert_eq!(cache.count(1), 0);
}
