//! Whether a new description breaks a promise that an older one made: what a client may rely on is still there, and nothing more
//! is asked of it. A client may be a program that was generated from the description, so that names and types count too.

mod schemas;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use schemas::{Comparison, Sender};
use serde_json::{Map, Value};

/// Every promise of `old` that `new` breaks, each with its place.
pub(crate) fn breaking(old: &Value, new: &Value) -> Vec<String> {
    let mut found = Comparison::new(old, new);
    for (path, methods) in entries(&old["paths"]) {
        for (method, operation) in entries(methods) {
            let at = format!("{} {path}", method.to_uppercase());
            match new["paths"][path].get(method) {
                Some(now) => found.operation(&at, operation, now),
                None => found.broken.push(format!("{at} is gone")),
            }
        }
    }
    found.components();
    found.broken
}

impl Comparison<'_> {
    fn operation(&mut self, at: &str, old: &Value, new: &Value) {
        if old["operationId"] != new["operationId"] {
            let (was, is) = (&old["operationId"], &new["operationId"]);
            self.broken
                .push(format!("{at} is called {is}, and was {was}"));
        }
        self.security(at, old, new);
        self.parameters(at, old, new);
        self.body(
            &format!("{at}: request"),
            &old["requestBody"],
            &new["requestBody"],
        );
        for (status, answer) in entries(&old["responses"]) {
            let at = format!("{at}: {status}");
            match new["responses"].get(status) {
                Some(now) => {
                    self.contents(&at, answer, now, Sender::Server);
                    self.headers(&at, answer, now);
                }
                // no client relies on being refused
                None if status.starts_with(['4', '5']) => {}
                None => self.broken.push(format!("{at} is gone")),
            }
        }
    }

    /// Each way in still leads in: nothing was added to it.
    fn security(&mut self, at: &str, old: &Value, new: &Value) {
        let (was, is) = (ways_in(self.old, old), ways_in(self.new, new));
        for way in &was {
            if !is.iter().any(|now| now.is_subset(way)) {
                let way: Vec<&str> = way.iter().map(String::as_str).collect();
                let way = match way.as_slice() {
                    [] => "nothing".to_owned(),
                    schemes => schemes.join(" and "),
                };
                self.broken.push(format!("{at}: {way} opens it no more"));
            }
        }
    }

    fn parameters(&mut self, at: &str, old: &Value, new: &Value) {
        let of = |operation: &Value| {
            operation["parameters"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        };
        let (was, is) = (of(old), of(new));
        let same = |a: &Value, b: &Value| a["name"] == b["name"] && a["in"] == b["in"];
        for parameter in &was {
            let at = format!("{at}: the parameter {}", parameter["name"]);
            match is.iter().find(|now| same(now, parameter)) {
                Some(now) => {
                    self.schema(&at, &parameter["schema"], &now["schema"], Sender::Client, 0)
                }
                None => self.broken.push(format!("{at} is gone")),
            }
        }
        for parameter in is.iter().filter(|parameter| parameter["required"] == true) {
            let before = was.iter().find(|before| same(before, parameter));
            if before.is_none_or(|before| before["required"] != true) {
                self.broken.push(format!(
                    "{at}: the parameter {} is required now",
                    parameter["name"]
                ));
            }
        }
    }

    fn body(&mut self, at: &str, old: &Value, new: &Value) {
        self.contents(at, old, new, Sender::Client);
        if new["required"] == true && old["required"] != true {
            self.broken.push(format!("{at} is required now"));
        }
    }

    fn contents(&mut self, at: &str, old: &Value, new: &Value, sender: Sender) {
        for (kind, content) in entries(&old["content"]) {
            match new["content"].get(kind) {
                Some(now) => self.schema(at, &content["schema"], &now["schema"], sender, 0),
                None => self.broken.push(format!("{at}: {kind} is gone")),
            }
        }
    }

    fn headers(&mut self, at: &str, old: &Value, new: &Value) {
        for (name, header) in entries(&old["headers"]) {
            let at = format!("{at}: the header {name}");
            match new["headers"].get(name) {
                Some(now) => self.schema(&at, &header["schema"], &now["schema"], Sender::Server, 0),
                None => self.broken.push(format!("{at} is gone")),
            }
        }
    }

    /// Generated clients have a type for each schema, by its name; and a key is shown as it always was.
    fn components(&mut self) {
        let (old, new) = (&self.old["components"], &self.new["components"]);
        for (name, _) in entries(&old["schemas"]) {
            if new["schemas"].get(name).is_none() {
                self.broken.push(format!("the schema {name} is gone"));
            }
        }
        for (name, scheme) in entries(&old["securitySchemes"]) {
            let now = &new["securitySchemes"][name];
            if ["type", "in", "name", "scheme"]
                .iter()
                .any(|key| scheme[key] != now[key])
            {
                self.broken
                    .push(format!("{name} is shown in another way, or is gone"));
            }
        }
    }
}

/// Sets of keys, each of which opens an operation; the empty set, if whoever comes may enter.
fn ways_in(document: &Value, operation: &Value) -> Vec<BTreeSet<String>> {
    let ways = match operation["security"].as_array() {
        Some(ways) => Some(ways),
        None => document["security"].as_array(),
    };
    match ways {
        None => vec![BTreeSet::new()],
        Some(ways) if ways.is_empty() => vec![BTreeSet::new()],
        Some(ways) => ways
            .iter()
            .map(|way| entries(way).map(|(name, _)| name.clone()).collect())
            .collect(),
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}
