//! What can be done to a check or to all of its host, and the calls that do it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::model::{Act, Call, Calls, Verb};
use super::wire::Problem;
use crate::client::escaped;

/// What is done to checks without further questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Own,
    Disown,
    Recheck,
    Suspend,
    Resume,
}

/// The way to a cluster's checks: other clusters' go through our server.
pub(super) fn prefix(here: &str, cluster: &str) -> String {
    if cluster == here {
        String::new()
    } else {
        format!("/global/{}", escaped(cluster))
    }
}

impl Deed {
    /// What a check is afterwards.
    fn done(self, user: &str) -> String {
        match self {
            Self::Own => format!("owned by {user}"),
            Self::Disown => "owned by nobody".to_owned(),
            Self::Recheck => "to be rechecked now".to_owned(),
            Self::Suspend => "suspended".to_owned(),
            Self::Resume => "resumed".to_owned(),
        }
    }

    fn call(self, check: &str, user: &str) -> Call {
        let (verb, part, body) = match self {
            Self::Own => (Verb::Post, "owner", json!({ "owner": user })),
            Self::Disown => (Verb::Delete, "owner", Value::Null),
            Self::Recheck => (Verb::Post, "next", json!({ "next": "now" })),
            Self::Suspend => (Verb::Post, "suspended", json!({ "suspended": true })),
            Self::Resume => (Verb::Post, "suspended", json!({ "suspended": false })),
        };
        Call {
            verb,
            path: format!("{check}/{part}"),
            body,
        }
    }

    /// Does it to these checks, which are all of one cluster.
    pub(super) fn act(
        self,
        here: &str,
        user: &str,
        subject: String,
        problems: &[Arc<Problem>],
    ) -> Act {
        let calls = problems.iter().map(|problem| {
            let path = check_path(here, &problem.cluster, &problem.id);
            self.call(&path, user)
        });
        Act {
            subject,
            done: self.done(user),
            calls: Calls::These(calls.collect()),
        }
    }

    /// Whether it can be done to checks that are well: of these nobody need take care.
    pub(super) fn is_of_all(self) -> bool {
        !matches!(self, Self::Own | Self::Disown)
    }

    /// Does it to all checks of a host, those that are well too.
    pub(super) fn act_on_host(self, here: &str, user: &str, cluster: &str, host: &str) -> Act {
        Act {
            subject: host_subject(here, cluster, host),
            done: self.done(user),
            calls: Calls::OfHost {
                prefix: prefix(here, cluster),
                host: host.to_owned(),
                deed: self,
                user: user.to_owned(),
            },
        }
    }

    /// The calls for the checks of an answer.
    pub(super) fn calls(self, prefix: &str, user: &str, answer: &Value) -> Vec<Call> {
        let checks = answer["checks"].as_array().into_iter().flatten();
        let ids = checks.filter_map(|check| check["id"].as_str());
        ids.map(|id| self.call(&format!("{prefix}/checks/id/{}", escaped(id)), user))
            .collect()
    }
}

fn check_path(here: &str, cluster: &str, id: &str) -> String {
    format!("{}/checks/id/{}", prefix(here, cluster), escaped(id))
}

/// Removes a check with its state.
pub(super) fn remove_check(here: &str, problem: &Problem) -> Act {
    Act {
        subject: subject(here, problem),
        done: "removed".to_owned(),
        calls: delete(check_path(here, &problem.cluster, &problem.id)),
    }
}

/// Removes a host with all its checks.
pub(super) fn remove_host(here: &str, cluster: &str, host: &str) -> Act {
    Act {
        subject: host_subject(here, cluster, host),
        done: "removed, with all its checks".to_owned(),
        calls: delete(format!("{}/hosts/{}", prefix(here, cluster), escaped(host))),
    }
}

fn delete(path: String) -> Calls {
    Calls::These(vec![Call {
        verb: Verb::Delete,
        path,
        body: Value::Null,
    }])
}

/// Writes a note about a host of our own cluster.
pub(super) fn note(user: &str, host: &str, text: &str) -> Act {
    Act {
        subject: host.to_owned(),
        done: "noted".to_owned(),
        calls: Calls::These(vec![Call {
            verb: Verb::Post,
            path: format!("/notes/{}", escaped(host)),
            body: json!({ "user": user, "note": text }),
        }]),
    }
}

/// Declares a maintenance of a check or a host of our own cluster, from now on.
pub(super) fn maintain(host: &str, check: Option<&str>, lasts_s: i64, reason: &str) -> Act {
    let mut body = json!({ "hosts": [host], "lasts": lasts_s, "reason": reason });
    if let Some(check) = check {
        body["checks"] = json!([check]);
    }
    Act {
        subject: check.map_or_else(|| host.to_owned(), |check| format!("{host}/{check}")),
        done: "in maintenance".to_owned(),
        calls: Calls::These(vec![Call {
            verb: Verb::Post,
            path: "/maintenances".to_owned(),
            body,
        }]),
    }
}

/// A check as people call it; with its cluster if that is another one.
pub(super) fn subject(here: &str, problem: &Problem) -> String {
    format!(
        "{}/{}",
        host_subject(here, &problem.cluster, &problem.host),
        problem.check
    )
}

/// A host as people call it.
pub(super) fn host_subject(here: &str, cluster: &str, host: &str) -> String {
    if cluster == here {
        host.to_owned()
    } else {
        format!("{cluster}:{host}")
    }
}
