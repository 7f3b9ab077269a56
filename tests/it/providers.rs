//! Each provider against a fake that speaks its protocol as documented: what is said, field by field, and what becomes of
//! a message by how it is answered. The server is the real one, told of the same alert on a channel for each case.

mod chat;
mod command;
pub(crate) mod email;
pub(crate) mod fake;
mod hostile;
mod mailgun;
mod ntfy;
mod pagerduty;
mod telegram;
mod twilio;
mod webhook;

use stalker_tests::server::Installation;
use stalker_tests::until::until_seen;

use crate::notifications::{PATIENCE, Stage, rows};
use fake::{Answer, Fake, Request};

/// The check that fails in all cases.
const CHECK: &str = "check_a";

/// How a trigger is answered, and what becomes of it.
struct Case {
    channel: &'static str,
    answer: fn(&Request) -> Answer,
    /// State, HTTP status, what is known of its arrival; how long its receiver wants to be left alone.
    outcome: &'static str,
    /// A part of the reason.
    why: &'static str,
}

/// Plays all cases at once, each on a channel that `configure` adds. Gives what each fake has heard, once everything is
/// over: what may have arrived was resolved, and nothing else.
async fn play(
    cases: &[Case],
    is_resolve: fn(&Request) -> bool,
    accepted: Answer,
    configure: impl Fn(Installation, &str, &str) -> Installation,
) -> Vec<Vec<Request>> {
    let mut fakes = Vec::new();
    for case in cases {
        let (answer, accepted) = (case.answer, accepted);
        fakes.push(
            Fake::start(move |request| {
                if is_resolve(request) {
                    accepted
                } else {
                    answer(request)
                }
            })
            .await,
        );
    }
    let stage = Stage::start(|mut installation| {
        for (case, fake) in cases.iter().zip(&fakes) {
            let timeout = format!("channels.{}.timeout", case.channel);
            installation = configure(installation, case.channel, fake.url()).set(&timeout, 1);
        }
        installation
    })
    .await;
    let outcomes: Vec<Outcome> = cases
        .iter()
        .map(|case| (case.channel, case.outcome, case.why))
        .collect();
    play_on(&stage, &outcomes).await;
    fakes.iter().map(Fake::heard).collect()
}

/// A channel, what becomes of its trigger, and a part of the reason; see [`Case`].
type Outcome = (&'static str, &'static str, &'static str);

/// Lets an alert begin and end, and looks at what becomes of it on each channel.
async fn play_on(stage: &Stage, outcomes: &[Outcome]) {
    stage.fail(CHECK);
    stage.register(&[CHECK]).await;
    let ended = async || {
        rows(
            stage.pool(),
            // where each recipient is told for itself, the channel is NAME/RECIPIENT
            "select concat_ws(' ', split_part(n.channel, '/', 1), case n.state when 'sending' then 'pending' else n.state end,
                              coalesce(a.http_status::text, '-'), case when a.may_have_arrived then 'may have arrived' else 'lost' end,
                              'wait ' || round(extract(epoch from n.waits_until - a.ended_at))) || '|' || coalesce(a.error, '')
             from notifications n join attempts a using (notification_id) where a.n = 1 and a.ended_at is not null order by 1",
        )
        .await
    };
    let seen = until_seen("all are tried", PATIENCE, ended, |seen| {
        seen.len() == outcomes.len()
    })
    .await;
    for (channel, outcome, why) in outcomes {
        let expected = format!("{channel} {outcome}|");
        let is_as_expected = |line: &&String| line.starts_with(&expected) && line.contains(why);
        let found = seen.iter().find(is_as_expected);
        assert!(found.is_some(), "{expected}{why}: {seen:#?}");
    }
    stage.recover(CHECK);
    let mut expected: Vec<String> = outcomes.iter().map(end).collect();
    expected.sort();
    let ended = async || {
        rows(
            stage.pool(),
            "select split_part(channel, '/', 1) || ': ' || string_agg(kind || ' ' || state, ', ' order by notification_id)
             from notifications group by channel order by 1",
        )
        .await
    };
    until_seen("all is over", PATIENCE, ended, |seen| *seen == expected).await;
}

/// What there is to be seen of a case when its alert is over (semantics.md, decisions 7 and 8).
fn end((channel, outcome, _): &Outcome) -> String {
    let (state, rest) = outcome.split_once(' ').unwrap_or((outcome, ""));
    let trigger = if state == "pending" {
        "superseded"
    } else {
        state
    };
    let resolve = if rest.contains("may have arrived") {
        ", resolve accepted"
    } else {
        ""
    };
    format!("{channel}: trigger {trigger}{resolve}")
}

/// Waits until this was told, by channel.
async fn told_on(stage: &Stage, expected: &[&str]) {
    let look = async || {
        rows(
            stage.pool(),
            "select channel || ': ' || string_agg(concat_ws(' ', kind, state, attempts), ', ' order by notification_id)
             from notifications group by channel order by 1",
        )
        .await
    };
    until_seen("all is told", PATIENCE, look, |seen| seen == expected).await;
}
