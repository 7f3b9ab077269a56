//! Every answer is what the description says, field by field: asked are the description's own examples, of which each is there.

use std::collections::BTreeSet;

use jsonschema::Validator;

use super::*;

/// Of what may be absent in an answer: the field, and where it is.
const MAY_BE_ABSENT: [(&str, &str); 7] = [
    // given once
    ("Registered", "token"),
    ("Registered", "warning"),
    // one of them, by the state that was asked for
    ("ChecksInState", ""),
    ("ClusterChecksInState", "alerting"),
    ("ClusterChecksInState", "pending"),
    ("ClusterChecksInState", "in_maintenance"),
    ("ClusterChecksInState", "suspended"),
];
/// Names of fields whose values are a closed set.
const CLOSED: [&str; 10] = [
    "access",
    "actor_kind",
    "cert_origin",
    "component",
    "event",
    "kind",
    "phase",
    "role",
    "state",
    "suppression",
];

/// The description, in which no object may have a field that it does not name.
fn strict(document: &Value) -> Value {
    match document {
        Value::Object(map) => {
            let mut strict: serde_json::Map<_, _> = map
                .iter()
                .map(|(name, value)| (name.clone(), self::strict(value)))
                .collect();
            if map.get("properties").is_some_and(Value::is_object) && map["type"] == "object" {
                strict.insert("additionalProperties".to_owned(), json!(false));
            }
            Value::Object(strict)
        }
        Value::Array(values) => values.iter().map(strict).collect(),
        other => other.clone(),
    }
}

fn validator(document: &Value, schema: &Value) -> Validator {
    let schema = json!({"allOf": [schema], "components": document["components"]});
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(&schema)
        .expect("a schema of the description is one")
}

/// The operations of the description with the path and the required parameters of its examples.
fn asked(document: &Value, method: &str) -> Vec<(String, Value)> {
    let mut asked = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let operation = &methods[method];
        if operation.is_null() {
            continue;
        }
        let mut path = path.clone();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().expect("a name");
            let example = parameter["example"].as_str();
            match parameter["in"].as_str() {
                Some("path") => {
                    let example = example
                        .unwrap_or_else(|| panic!("{path}: {name} of the path has no example"));
                    path = path.replace(&format!("{{{name}}}"), example);
                }
                Some("query") if parameter["required"] == true => {
                    let example =
                        example.unwrap_or_else(|| panic!("{path}: {name} has no example"));
                    path = format!("{path}?{name}={example}");
                }
                _ => {}
            }
        }
        asked.push((path, operation.clone()));
    }
    asked
}

#[tokio::test]
async fn every_example_is_answered_as_described() {
    let served = serve(TestDatabase::new().await).await;
    served
        .execute(include_str!("../fixtures/described.sql"))
        .await;
    let document = strict(&served.api.read("/openapi.json").await);
    let asked = asked(&document, "get");
    assert!(asked.len() >= 30, "{asked:?}");
    let mut wrong = Vec::new();
    for (path, operation) in asked {
        let (status, body) = served.api.get(&path).await;
        if status != StatusCode::OK {
            wrong.push(format!("{path}: {status} {body}"));
            continue;
        }
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        if schema.is_null() {
            continue;
        }
        let validator = validator(&document, schema);
        let errors = validator.iter_errors(&body);
        wrong.extend(errors.map(|error| format!("{path}: {error} at {}", error.instance_path())));
        // an empty list would show nothing; nobody is signed in, and there are no other clusters
        let is_empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
        let lists = body.as_object().into_iter().flat_map(|body| body.values());
        if lists.into_iter().any(is_empty) && path != "/sessions" {
            wrong.push(format!("{path}: {body}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What clients are made of: nothing that is always sent may be absent, no closed set is just text, and each example is one.
#[tokio::test]
async fn schemas_of_answers_promise_what_is_so() {
    let served = serve(TestDatabase::new().await).await;
    let document = served.api.read("/openapi.json").await;
    let schemas = document["components"]["schemas"]
        .as_object()
        .expect("schemas");
    let (answered, taken) = (
        reached(&document, "responses"),
        reached(&document, "requestBody"),
    );
    let mut wrong = Vec::new();
    for (name, schema) in schemas {
        let required: Vec<&Value> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .collect();
        let properties = schema["properties"].as_object().into_iter().flatten();
        for (property, of) in properties {
            let at = format!("{name}.{property}");
            let is_required = required.iter().any(|name| *name == property);
            let may_be_absent = MAY_BE_ABSENT
                .iter()
                .any(|(of, absent)| of == name && (absent.is_empty() || absent == property));
            if answered.contains(name) && !taken.contains(name) && !is_required && !may_be_absent {
                wrong.push(format!("{at} is always sent, and not required"));
            }
            let text = of.to_string();
            let is_of_others = text.contains("$ref");
            let is_list = text.contains("\"array\"") || text.contains("\"object\"");
            let is_anything = of["type"].is_null();
            if CLOSED.contains(&property.as_str()) && !is_of_others && !is_list {
                wrong.push(format!("{at} is a closed set, and no enum"));
            }
            match of.get("example") {
                Some(example) if !is_of_others => {
                    let validator = validator(&document, of);
                    let errors = validator.iter_errors(example);
                    wrong.extend(errors.map(|error| format!("the example of {at}: {error}")));
                }
                None if answered.contains(name)
                    && !is_of_others
                    && !is_list
                    && !is_anything
                    && !may_be_absent =>
                {
                    wrong.push(format!("{at} has no example"));
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is true of every operation.
#[tokio::test]
async fn operations_promise_what_is_so() {
    let served = serve(TestDatabase::new().await).await;
    let document = served.api.read("/openapi.json").await;
    let mut wrong = Vec::new();
    for method in ["get", "post", "put", "delete"] {
        for (path, operation) in asked(&document, method) {
            let answers = &operation["responses"];
            let has_body = !operation["requestBody"].is_null();
            if has_body == answers["413"].is_null() {
                wrong.push(format!("{method} {path}: 413 and a body belong together"));
            }
            for (status, header) in [
                ("429", "Retry-After"),
                ("503", "Retry-After"),
                ("303", "Location"),
                ("303", "Set-Cookie"),
                ("304", "ETag"),
            ] {
                if !answers[status].is_null() && answers[status]["headers"][header].is_null() {
                    wrong.push(format!("{method} {path}: {status} without {header}"));
                }
            }
            let is_tagged = !answers["200"]["headers"]["ETag"].is_null();
            if is_tagged == answers["304"].is_null() {
                wrong.push(format!("{method} {path}: an ETag and 304 belong together"));
            }
            if operation["description"].is_null() {
                wrong.push(format!("{method} {path} has no description"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The names of the schemas that requests or answers of any operation are made of.
fn reached(document: &Value, part: &str) -> BTreeSet<String> {
    let operations = document["paths"].as_object().expect("paths");
    let operations = operations
        .values()
        .flat_map(|methods| methods.as_object().expect("operations").values());
    let mut ahead: Vec<Value> = operations
        .map(|operation| operation[part].clone())
        .collect();
    let mut names = BTreeSet::new();
    while let Some(value) = ahead.pop() {
        match value {
            Value::Array(values) => ahead.extend(values),
            Value::Object(map) => {
                let name = map.get("$ref").and_then(Value::as_str);
                let name = name.and_then(|to| to.strip_prefix("#/components/schemas/"));
                if let Some(name) = name
                    && names.insert(name.to_owned())
                {
                    ahead.push(document["components"]["schemas"][name].clone());
                }
                ahead.extend(map.into_iter().map(|(_, value)| value));
            }
            _ => {}
        }
    }
    names
}

#[tokio::test]
async fn what_a_parameter_may_be_is_what_is_taken() {
    let served = serve(TestDatabase::new().await).await;
    served.register_original().await;
    for (path, place) in [
        ("/notes/web1?limit=-1", Some("limit")),
        ("/notes/web1?limit=100000", None),
        ("/state_log/web1/check_load?limit=a", Some("limit")),
        ("/state_log/web1/check_load?limit=100000", None),
        ("/checks?after=-1", Some("after")),
        ("/checks?after=%2B5", Some("after")),
        ("/checks?after=", Some("after")),
        ("/checks?after=1234567890123456789", Some("after")),
        ("/checks?after=123456789012345678", None),
        ("/checks?after=007", None),
        ("/alerts?parent=-1", Some("parent")),
        ("/notifications?alert=%2B1", Some("alert")),
    ] {
        let (status, answer) = served.api.get(path).await;
        match place {
            Some(place) => assert_eq!(
                (status, places(&answer)),
                (StatusCode::BAD_REQUEST, vec![place]),
                "{path}"
            ),
            None => assert_eq!(status, StatusCode::OK, "{path}: {answer}"),
        }
    }
}
