//! Questions to the server, asked in the background: however slow the line is, no key waits for an answer.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;

use super::actions;
use super::model::{Act, Call, Calls, Event, News, Request, Source, Topic, Trouble, Verb};
use super::wire;
use crate::client::{Client, escaped};
use crate::failure::Failure;

/// For one question. A large answer over a slow line may take its time, one that never ends may not.
const PATIENCE: Duration = Duration::from_secs(60);
/// Entries of history and notes in the details.
const ENTRIES: u32 = 30;

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        let words = failure.to_string();
        Self {
            status: failure.status,
            // the hints are for the command line
            words: words.lines().next().unwrap_or_default().to_owned(),
        }
    }
}

/// Does what the view wants done, and tells it when that is over.
pub(super) async fn run(client: Client, request: Request, events: Sender<Event>) {
    let event = match request {
        Request::Ask(source) => {
            let news = tokio::time::timeout(PATIENCE, ask(&client, &source));
            let news = news.await.unwrap_or_else(|_| Err(too_slow()));
            Event::Told(source, news)
        }
        Request::Look { topic, of, path } => {
            let answer = tokio::time::timeout(PATIENCE, client.get(&path)).await;
            let answer = answer.map_or_else(|_| Err(too_slow()), |answer| Ok(answer?));
            let entries = answer.map(|answer| match topic {
                Topic::Story => wire::story(&answer),
                Topic::History => wire::history(&answer),
                Topic::Notes => wire::notes(&answer),
            });
            Event::Looked { topic, of, entries }
        }
        Request::Do(act) => perform(&client, act, &events).await,
        Request::Redraw => return,
    };
    // if nobody listens any more, the view has ended
    let _ = events.send(event).await;
}

/// Finds out in whose name things are done: who is signed in; behind a key, whoever works on this machine.
pub(super) async fn whoami(client: Client, machine_user: String, events: Sender<Event>) {
    let me = client.get("/user/me").await;
    let signed_in = me
        .ok()
        .and_then(|me| Some(me["username"].as_str()?.to_owned()));
    let _ = events
        .send(Event::Named(signed_in.unwrap_or(machine_user)))
        .await;
}

fn too_slow() -> Trouble {
    Trouble {
        status: None,
        words: "no answer in time".to_owned(),
    }
}

async fn ask(client: &Client, source: &Source) -> Result<News, Trouble> {
    match source {
        Source::Here => {
            let (checks, alerts, stats) = tokio::join!(
                client.get("/checks/state/alerting"),
                client.get("/alerts?open=true"),
                client.get("/stats"),
            );
            let checks = checks?;
            // a key for some hosts sees these, and nothing of the whole
            let stats = match stats {
                Err(failure) if failure.status == Some(403) => json!({"here": {}}),
                stats => stats?,
            };
            // the original has no alerts
            let alerts = match alerts {
                Ok(alerts) => Some(wire::alerts(&alerts)),
                Err(failure) if failure.status == Some(404) => None,
                Err(failure) => return Err(failure.into()),
            };
            let (cluster, stats) = stats
                .as_object()
                .and_then(|stats| stats.iter().next())
                .ok_or_else(|| unreadable("/stats"))?;
            if !checks["alerting"].is_array() {
                return Err(unreadable("/checks/state/alerting"));
            }
            Ok(News::Here {
                problems: wire::problems(cluster, &checks["alerting"]),
                cluster: cluster.clone(),
                alerts,
                checks: stats["checks"].as_i64(),
            })
        }
        Source::Clusters => {
            let answer = match client.get("/global/clusters").await {
                Err(failure) if failure.status == Some(403) => json!({"clusters": {}}),
                answer => answer?,
            };
            let clusters = answer["clusters"]
                .as_object()
                .ok_or_else(|| unreadable("/global/clusters"))?;
            Ok(News::Clusters(clusters.keys().cloned().collect()))
        }
        Source::Cluster(name) => {
            let path = format!("/global/{}/checks/state/alerting", escaped(name));
            let answer = client.get(&path).await?;
            let answer = &answer[name.as_str()];
            if !answer["alerting"].is_array() {
                return Err(unreadable(&path));
            }
            let age = answer["age"].as_f64().unwrap_or(0.0).max(0.0);
            Ok(News::Cluster {
                problems: wire::problems(name, &answer["alerting"]),
                age: age as i64,
                error: answer["error"].as_str().map(str::to_owned),
            })
        }
    }
}

fn unreadable(path: &str) -> Trouble {
    Trouble {
        status: None,
        words: format!("what {path} answers cannot be read"),
    }
}

/// One call after the other: whoever acts on all of a host is not to overrun the server. Ends when it does not answer.
async fn perform(client: &Client, act: Act, events: &Sender<Event>) -> Event {
    let (mut done, mut troubles, mut remark) = (0, Vec::new(), None);
    let calls = calls(client, &act.calls).await.unwrap_or_else(|trouble| {
        troubles.push(trouble);
        Vec::new()
    });
    for (n, call) in calls.iter().enumerate() {
        if n > 0 {
            let progress = Event::Progress {
                subject: act.subject.clone(),
                done: n,
                of: calls.len(),
            };
            let _ = events.send(progress).await;
        }
        let answer = in_time(async {
            match call.verb {
                Verb::Post => client.post(&call.path, &call.body).await,
                Verb::Delete => client.delete(&call.path).await,
            }
        });
        match answer.await {
            Ok(answer) => {
                done += 1;
                remark = told(&answer);
            }
            Err(trouble) => {
                let is_lost = trouble.status.is_none();
                troubles.push(trouble);
                if is_lost {
                    break;
                }
            }
        }
    }
    Event::Acted {
        act,
        calls: calls.len(),
        done,
        troubles,
        remark,
    }
}

/// The calls of an act; those for a host are known once its checks are.
async fn calls(client: &Client, calls: &Calls) -> Result<Vec<Call>, Trouble> {
    match calls {
        Calls::These(calls) => Ok(calls.clone()),
        Calls::OfHost {
            prefix,
            host,
            deed,
            user,
        } => {
            let path = format!("{prefix}/checks/host/{}", escaped(host));
            let answer = in_time(client.get(&path)).await?;
            if !answer["checks"].is_array() {
                return Err(unreadable(&path));
            }
            Ok(deed.calls(prefix, user, &answer))
        }
    }
}

async fn in_time(answer: impl Future<Output = Result<Value, Failure>>) -> Result<Value, Trouble> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(too_slow()),
    }
}

/// How far a maintenance reaches: none of the checks may be a mistake.
fn told(answer: &Value) -> Option<String> {
    let reach = answer["reach"].as_i64()?;
    Some(match reach {
        1 => "1 check".to_owned(),
        n => format!("{n} checks"),
    })
}

/// The questions that the details ask.
pub(super) fn path(
    topic: Topic,
    here: &str,
    subject: &wire::Problem,
    alert: Option<&str>,
) -> Option<String> {
    // histories, notes and alerts of other clusters stay there
    if !actions::prefix(here, &subject.cluster).is_empty() {
        return None;
    }
    let host = escaped(&subject.host);
    Some(match topic {
        Topic::Story => format!("/alerts/{}", escaped(alert?)),
        Topic::History => format!(
            "/state_log/{host}/{}?limit={ENTRIES}",
            escaped(&subject.check)
        ),
        Topic::Notes => format!("/notes/{host}?limit={ENTRIES}"),
    })
}
