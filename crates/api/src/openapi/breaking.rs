//! Whether a new description breaks a promise that an older one made: what a client may rely on is still there, and nothing more
//! is asked of it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Schemas within schemas; ours end long before.
const DEEPEST: usize = 12;

/// Every promise of `old` that `new` breaks, each with its place.
pub(crate) fn breaking(old: &Value, new: &Value) -> Vec<String> {
    let mut found = Comparison {
        old,
        new,
        broken: Vec::new(),
    };
    for (path, methods) in entries(&old["paths"]) {
        for (method, operation) in entries(methods) {
            let at = format!("{} {path}", method.to_uppercase());
            match new["paths"][path].get(method) {
                Some(now) => found.operation(&at, operation, now),
                None => found.broken.push(format!("{at} is gone")),
            }
        }
    }
    found.broken
}

struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    broken: Vec<String>,
}

/// Who sends what a schema describes.
#[derive(Clone, Copy, PartialEq)]
enum Sender {
    Client,
    Server,
}

impl Comparison<'_> {
    fn operation(&mut self, at: &str, old: &Value, new: &Value) {
        let named = |operation: &Value| -> Vec<Value> {
            operation["parameters"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        };
        for parameter in named(old) {
            let is_it = |other: &&Value| {
                other["name"] == parameter["name"] && other["in"] == parameter["in"]
            };
            if named(new).iter().find(is_it).is_none() {
                self.broken
                    .push(format!("{at}: the parameter {} is gone", parameter["name"]));
            }
        }
        for parameter in named(new) {
            let was_required = named(old).iter().any(|other| {
                other["name"] == parameter["name"]
                    && other["in"] == parameter["in"]
                    && other["required"] == true
            });
            if parameter["required"] == true && !was_required {
                self.broken.push(format!(
                    "{at}: the parameter {} is required now",
                    parameter["name"]
                ));
            }
        }
        self.contents(
            &format!("{at}: request"),
            &old["requestBody"],
            &new["requestBody"],
            Sender::Client,
        );
        for (status, answer) in entries(&old["responses"]) {
            if !status.starts_with('2') {
                continue;
            }
            match new["responses"].get(status) {
                Some(now) => self.contents(&format!("{at}: {status}"), answer, now, Sender::Server),
                None => self
                    .broken
                    .push(format!("{at}: the answer {status} is gone")),
            }
        }
    }

    fn contents(&mut self, at: &str, old: &Value, new: &Value, sender: Sender) {
        for (kind, content) in entries(&old["content"]) {
            match new["content"].get(kind) {
                Some(now) => self.schema(at, &content["schema"], &now["schema"], sender, 0),
                None => self.broken.push(format!("{at}: {kind} is gone")),
            }
        }
        if sender == Sender::Client && old["content"].is_null() && new["required"] == true {
            self.broken.push(format!("{at}: a body is required now"));
        }
    }

    fn schema(&mut self, at: &str, old: &Value, new: &Value, sender: Sender, depth: usize) {
        let old = resolve(self.old, old);
        let new = resolve(self.new, new);
        if depth > DEEPEST || old == new && self.old == self.new {
            return;
        }
        let (was, is) = (types(old), types(new));
        let is_narrower = match sender {
            // what was taken is still taken; what is given was given before
            Sender::Client => !was.is_subset(&is) && !is.is_empty(),
            Sender::Server => !is.is_subset(&was) && !was.is_empty(),
        };
        if is_narrower {
            self.broken.push(format!("{at} is {is:?}, and was {was:?}"));
        }
        for (name, property) in entries(&old["properties"]) {
            let at = format!("{at}.{name}");
            match new["properties"].get(name) {
                Some(now) => self.schema(&at, property, now, sender, depth + 1),
                None => self.broken.push(format!("{at} is gone")),
            }
        }
        let required = |schema: &Value| -> BTreeSet<String> {
            let names = schema["required"].as_array().into_iter().flatten();
            names.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let (before, now) = (required(old), required(new));
        let (changed, words) = match sender {
            Sender::Client => (&now - &before, "is required now"),
            Sender::Server => (&before - &now, "may be absent now"),
        };
        for name in changed {
            if old["properties"].is_object() {
                self.broken.push(format!("{at}.{name} {words}"));
            }
        }
        if !old["items"].is_null() {
            self.schema(
                &format!("{at}[]"),
                &old["items"],
                &new["items"],
                sender,
                depth + 1,
            );
        }
        if !old["additionalProperties"].is_null() {
            let (old, new) = (&old["additionalProperties"], &new["additionalProperties"]);
            self.schema(&format!("{at}{{}}"), old, new, sender, depth + 1);
        }
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str().and_then(|to| to.strip_prefix('#')) {
        Some(pointer) => document.pointer(pointer).unwrap_or(&Value::Null),
        None => schema,
    }
}

fn types(schema: &Value) -> BTreeSet<&str> {
    match &schema["type"] {
        Value::String(one) => BTreeSet::from([one.as_str()]),
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => BTreeSet::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({
            "paths": {"/hosts": {"post": {
                "parameters": [{"name": "limit", "in": "query"}],
                "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/New"}}}},
                "responses": {"200": {"content": {"application/json": {"schema": {
                    "type": "object", "required": ["hosts"],
                    "properties": {"hosts": {"type": "array", "items": {"$ref": "#/components/schemas/Host"}}},
                }}}}, "404": {}},
            }}},
            "components": {"schemas": {
                "New": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "ip": {"type": ["string", "null"]}}},
                "Host": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}, "ip": {"type": "string"}}},
            }},
        })
    }

    /// What is said of a document in which the value at `pointer` was replaced, or removed.
    fn said(pointer: &str, value: Option<Value>) -> String {
        let (old, mut new) = (document(), document());
        match value {
            Some(value) => *new.pointer_mut(pointer).expect("it is there") = value,
            None => {
                let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
                let parent = new.pointer_mut(parent).and_then(Value::as_object_mut);
                parent
                    .expect("it is there")
                    .remove(&name.replace("~1", "/"));
            }
        }
        breaking(&old, &new).join("; ")
    }

    #[test]
    fn promises_are_kept_or_named() {
        let host = "/components/schemas/Host";
        let new = "/components/schemas/New";
        let operation = "/paths/~1hosts/post";
        for (pointer, value, expected) in [
            ("/paths/~1hosts".to_owned(), None, "POST /hosts is gone"),
            (
                format!("{operation}/parameters"),
                Some(json!([])),
                "POST /hosts: the parameter \"limit\" is gone",
            ),
            (
                format!("{operation}/parameters"),
                Some(json!([{"name": "limit", "in": "query", "required": true}])),
                "POST /hosts: the parameter \"limit\" is required now",
            ),
            (
                format!("{operation}/responses/200"),
                None,
                "POST /hosts: the answer 200 is gone",
            ),
            (
                format!("{host}/properties/ip"),
                None,
                "POST /hosts: 200.hosts[].ip is gone",
            ),
            (
                format!("{host}/required"),
                Some(json!([])),
                "POST /hosts: 200.hosts[].id may be absent now",
            ),
            (
                format!("{host}/properties/ip/type"),
                Some(json!(["string", "null"])),
                "POST /hosts: 200.hosts[].ip is {\"null\", \"string\"}, and was {\"string\"}",
            ),
            (
                format!("{new}/required"),
                Some(json!(["name", "ip"])),
                "POST /hosts: request.ip is required now",
            ),
            (
                format!("{new}/properties/ip/type"),
                Some(json!("string")),
                "POST /hosts: request.ip is {\"string\"}, and was {\"null\", \"string\"}",
            ),
            // what asks for less, and gives more
            (format!("{new}/required"), Some(json!([])), ""),
            (format!("{host}/required"), Some(json!(["id", "ip"])), ""),
            (format!("{operation}/responses/404"), None, ""),
            (
                format!("{new}/properties/name/type"),
                Some(json!(["string", "null"])),
                "",
            ),
        ] {
            assert_eq!(said(&pointer, value), expected, "{pointer}");
        }
    }
}
