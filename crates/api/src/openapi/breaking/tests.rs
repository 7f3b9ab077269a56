//! What is said of two documents that differ in one place.

use serde_json::json;

use super::*;

fn document() -> Value {
    json!({
        "paths": {"/hosts": {"post": {
            "operationId": "add_host",
            "parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer"}}],
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/New"}}}},
            "security": [{"key": []}, {"session": []}],
            "responses": {
                "200": {
                    "headers": {"ETag": {"schema": {"type": "string"}}},
                    "content": {
                        "application/json": {"schema": {
                            "type": "object", "required": ["hosts"],
                            "properties": {"hosts": {"type": "array", "items": {"$ref": "#/components/schemas/Host"}}},
                        }},
                        "text/plain": {"schema": {"type": "string"}},
                    },
                },
                "303": {},
                "404": {},
            },
        }}},
        "components": {
            "schemas": {
                "New": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "ip": {}}},
                "Host": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}, "ip": {}}},
                "Word": {"type": "string", "enum": ["a", "b"]},
            },
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-KEY"}},
        },
    })
}

/// The document with this value at this place; null stands for nothing.
fn with(pointer: &str, value: &Value) -> Value {
    let mut document = document();
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let parent = document.pointer_mut(parent).and_then(Value::as_object_mut);
    let parent = parent.unwrap_or_else(|| panic!("{pointer} is not there"));
    let name = name.replace("~1", "/");
    match value {
        Value::Null => parent.remove(&name),
        value => parent.insert(name, value.clone()),
    };
    document
}

fn said(pointer: &str, old: &Value, new: &Value) -> String {
    breaking(&with(pointer, old), &with(pointer, new)).join("; ")
}

#[test]
fn operations_keep_their_promises_or_are_named() {
    let operation = "/paths/~1hosts/post";
    let limit = |more: Value| {
        let mut limit = json!({"name": "limit", "in": "query", "schema": {"type": "integer"}});
        limit
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        json!([limit])
    };
    let none = json!(null);
    let plain = limit(json!({}));
    let key = json!([{"key": []}]);
    for (place, old, new, expected) in [
        (
            "/paths/~1hosts",
            document()["paths"]["/hosts"].clone(),
            none.clone(),
            "POST /hosts is gone",
        ),
        (
            operation,
            document()["paths"]["/hosts"]["post"].clone(),
            none.clone(),
            "POST /hosts is gone",
        ),
        (
            "post/operationId",
            json!("add_host"),
            json!("make_host"),
            "POST /hosts is called \"make_host\", and was \"add_host\"",
        ),
        // parameters
        (
            "post/parameters",
            plain.clone(),
            json!([]),
            "POST /hosts: the parameter \"limit\" is gone",
        ),
        (
            "post/parameters",
            plain.clone(),
            limit(json!({"in": "header"})),
            "POST /hosts: the parameter \"limit\" is gone",
        ),
        (
            "post/parameters",
            plain.clone(),
            limit(json!({"required": true})),
            "POST /hosts: the parameter \"limit\" is required now",
        ),
        (
            "post/parameters",
            json!([]),
            limit(json!({"required": true})),
            "POST /hosts: the parameter \"limit\" is required now",
        ),
        (
            "post/parameters",
            plain.clone(),
            limit(json!({"schema": {"type": "boolean"}})),
            "POST /hosts: the parameter \"limit\" is boolean, and was integer",
        ),
        (
            "post/parameters",
            plain.clone(),
            limit(json!({"schema": {"type": "integer", "maximum": 9}})),
            "POST /hosts: the parameter \"limit\": maximum is 9, and was null",
        ),
        (
            "post/parameters",
            plain.clone(),
            limit(json!({"schema": {"type": "integer", "enum": [1]}})),
            "POST /hosts: the parameter \"limit\" takes only some values now",
        ),
        (
            "post/parameters",
            limit(json!({"required": true})),
            plain.clone(),
            "",
        ),
        ("post/parameters", json!([]), plain.clone(), ""),
        (
            "post/parameters",
            plain,
            limit(json!({"schema": {"type": "number"}})),
            "",
        ),
        // bodies
        (
            "post/requestBody/required",
            none.clone(),
            json!(true),
            "POST /hosts: request is required now",
        ),
        (
            "post/requestBody",
            none.clone(),
            json!({"required": true, "content": {}}),
            "POST /hosts: request is required now",
        ),
        ("post/requestBody", none.clone(), json!({"content": {}}), ""),
        ("post/requestBody/required", json!(true), none.clone(), ""),
        (
            "post/requestBody/content/text~1plain",
            json!({}),
            none.clone(),
            "POST /hosts: request: text/plain is gone",
        ),
        (
            "post/requestBody/content/text~1plain",
            none.clone(),
            json!({}),
            "",
        ),
        // answers
        (
            "post/responses/200/content/text~1plain",
            json!({}),
            none.clone(),
            "POST /hosts: 200: text/plain is gone",
        ),
        (
            "post/responses/200/content/text~1html",
            none.clone(),
            json!({}),
            "",
        ),
        (
            "post/responses/200/headers/ETag",
            json!({}),
            none.clone(),
            "POST /hosts: 200: the header ETag is gone",
        ),
        (
            "post/responses/200/headers/Location",
            none.clone(),
            json!({}),
            "",
        ),
        (
            "post/responses/404/headers",
            json!({"Retry-After": {}}),
            none.clone(),
            "POST /hosts: 404: the header Retry-After is gone",
        ),
        (
            "post/responses/303",
            json!({}),
            none.clone(),
            "POST /hosts: 303 is gone",
        ),
        ("post/responses/404", json!({}), none.clone(), ""),
        ("post/responses/409", none.clone(), json!({}), ""),
        // who may enter
        (
            "post/security",
            json!([{"key": []}, {"session": []}]),
            key.clone(),
            "POST /hosts: session opens it no more",
        ),
        (
            "post/security",
            key.clone(),
            json!([{"key": [], "session": []}]),
            "POST /hosts: key opens it no more",
        ),
        (
            "post/security",
            json!([]),
            key.clone(),
            "POST /hosts: nothing opens it no more",
        ),
        (
            "post/security",
            json!([{}]),
            key.clone(),
            "POST /hosts: nothing opens it no more",
        ),
        (
            "post/security",
            none.clone(),
            key.clone(),
            "POST /hosts: nothing opens it no more",
        ),
        (
            "post/security",
            key.clone(),
            json!([{"key": []}, {"session": []}]),
            "",
        ),
        ("post/security", key.clone(), json!([{}]), ""),
        (
            "/components/securitySchemes/key/name",
            json!("X-KEY"),
            json!("X-OTHER"),
            "key is shown in another way, or is gone",
        ),
        (
            "/components/securitySchemes/key",
            json!({"type": "apiKey"}),
            none.clone(),
            "key is shown in another way, or is gone",
        ),
        (
            "/components/securitySchemes/key/description",
            none.clone(),
            json!("new"),
            "",
        ),
        // names of types
        (
            "/components/schemas/Word",
            json!({}),
            none.clone(),
            "the schema Word is gone",
        ),
        ("/components/schemas/Other", none, json!({}), ""),
    ] {
        let pointer = match place.strip_prefix("post/") {
            Some(below) => format!("{operation}/{below}"),
            None => place.to_owned(),
        };
        assert_eq!(
            said(&pointer, &old, &new),
            expected,
            "{place}: {old} -> {new}"
        );
    }
}

#[test]
fn schemas_keep_their_promises_or_are_named() {
    let word = json!({"$ref": "#/components/schemas/Word"});
    let text = json!({"type": "string"});
    let maybe_text = json!({"type": ["string", "null"]});
    let list = |of: Value| json!({"type": "array", "items": of});
    let map = |of: Value| json!({"type": "object", "additionalProperties": of});
    let names = |of: Value| json!({"type": "object", "propertyNames": of});
    let fields = |required: &[&str], fields: Value| json!({"type": "object", "required": required, "properties": fields});
    // from, to, what is said if clients send it, and if the server does
    for (old, new, of_request, of_answer) in [
        (text.clone(), text.clone(), "", ""),
        // types
        (
            text.clone(),
            json!({"type": "integer"}),
            " is integer, and was string",
            " is integer, and was string",
        ),
        (
            json!({"type": "integer"}),
            json!({"type": "number"}),
            "",
            " is number, and was integer",
        ),
        (
            json!({"type": "number"}),
            json!({"type": "integer"}),
            " is integer, and was number",
            "",
        ),
        (
            text.clone(),
            json!({}),
            "",
            " may be null now;  is anything, and was string",
        ),
        (
            json!({}),
            text.clone(),
            " must not be null now;  is string, and was anything",
            "",
        ),
        (text.clone(), maybe_text.clone(), "", " may be null now"),
        (
            maybe_text.clone(),
            text.clone(),
            " must not be null now",
            "",
        ),
        (
            json!({"type": ["string", "integer"]}),
            text.clone(),
            " is string, and was integer or string",
            "",
        ),
        // closed sets
        (
            text.clone(),
            word.clone(),
            " takes only some values now",
            "",
        ),
        (word.clone(), text.clone(), "", " may have any value now"),
        (
            json!({"enum": ["a"]}),
            json!({"enum": ["a", "b"]}),
            "",
            " may be \"b\" now",
        ),
        (
            json!({"enum": ["a", "b"]}),
            json!({"enum": ["a"]}),
            " does not take \"b\" any more",
            "",
        ),
        (json!({"const": "a"}), json!({"enum": ["a"]}), "", ""),
        // a choice
        (
            maybe_text.clone(),
            json!({"oneOf": [{"type": "null"}, text.clone()]}),
            "",
            "",
        ),
        (
            maybe_text.clone(),
            json!({"oneOf": [word.clone(), {"type": "null"}]}),
            " takes only some values now",
            "",
        ),
        (
            json!({"anyOf": [word.clone(), {"type": "integer"}]}),
            word.clone(),
            ": integer is not taken any more",
            "",
        ),
        (
            word.clone(),
            json!({"oneOf": [word.clone(), {"type": "integer"}]}),
            "",
            ": integer is given now",
        ),
        (
            json!({"oneOf": [{"type": "integer"}, word.clone()]}),
            json!({"anyOf": [word.clone(), {"type": "integer"}]}),
            "",
            "",
        ),
        (
            json!({"oneOf": [{"type": "integer"}, word.clone()]}),
            json!({"oneOf": [{"type": "integer"}, {"type": "string", "enum": ["a"]}]}),
            ": \"a\" or \"b\" is not taken any more",
            "",
        ),
        // a sum
        (
            json!({"allOf": [fields(&["a"], json!({"a": text}))]}),
            fields(&["a"], json!({"a": text})),
            "",
            "",
        ),
        (
            fields(&[], json!({"a": text})),
            json!({"allOf": [fields(&[], json!({"a": text})), fields(&["b"], json!({"b": text}))]}),
            ".b is required now",
            "",
        ),
        (
            json!({"allOf": [fields(&[], json!({"a": text})), fields(&["b"], json!({"b": text}))]}),
            fields(&[], json!({"a": text})),
            ".b is gone",
            ".b is gone",
        ),
        // limits
        (
            json!({"minimum": 1}),
            json!({"minimum": 2}),
            ": minimum is 2, and was 1",
            "",
        ),
        (
            json!({"minimum": 2}),
            json!({"minimum": 1}),
            "",
            ": minimum is 1, and was 2",
        ),
        (
            json!({"exclusiveMaximum": 2}),
            json!({"exclusiveMaximum": 1}),
            ": exclusiveMaximum is 1, and was 2",
            "",
        ),
        (
            json!({"maximum": 1}),
            json!({}),
            "",
            ": maximum is null, and was 1",
        ),
        (
            json!({}),
            json!({"maxLength": 5}),
            ": maxLength is 5, and was null",
            "",
        ),
        (
            json!({"minLength": 1}),
            json!({"minLength": 8}),
            ": minLength is 8, and was 1",
            "",
        ),
        (
            json!({"maxItems": 9}),
            json!({"maxItems": 8}),
            ": maxItems is 8, and was 9",
            "",
        ),
        (
            json!({}),
            json!({"minItems": 1}),
            ": minItems is 1, and was null",
            "",
        ),
        // forms
        (
            json!({}),
            json!({"pattern": "^a$"}),
            ": pattern is \"^a$\", and was null",
            "",
        ),
        (
            json!({"pattern": "^a$"}),
            json!({"pattern": "^b$"}),
            ": pattern is \"^b$\", and was \"^a$\"",
            ": pattern is \"^b$\", and was \"^a$\"",
        ),
        (
            json!({"pattern": "^a$"}),
            json!({}),
            "",
            ": pattern is null, and was \"^a$\"",
        ),
        (
            json!({"format": "int32"}),
            json!({"format": "int64"}),
            "",
            ": format is \"int64\", and was \"int32\"",
        ),
        (
            json!({"format": "int64"}),
            json!({"format": "int32"}),
            ": format is \"int32\", and was \"int64\"",
            "",
        ),
        // fields
        (
            fields(&[], json!({"a": text})),
            fields(&["a"], json!({"a": text})),
            ".a is required now",
            "",
        ),
        (
            fields(&["a"], json!({"a": text})),
            fields(&[], json!({"a": text})),
            "",
            ".a may be absent now",
        ),
        (
            fields(&["a"], json!({"a": text})),
            fields(&["a"], json!({"a": maybe_text})),
            "",
            ".a may be null now",
        ),
        (
            fields(&["a"], json!({"a": text})),
            fields(&[], json!({})),
            ".a is gone",
            ".a is gone",
        ),
        (
            fields(&[], json!({})),
            fields(&[], json!({"a": text})),
            "",
            "",
        ),
        (
            fields(&[], json!({})),
            json!({"type": "object", "properties": {}, "additionalProperties": false}),
            " takes no other fields any more",
            "",
        ),
        // what is within
        (
            list(text.clone()),
            list(maybe_text.clone()),
            "",
            "[] may be null now",
        ),
        (
            list(text.clone()),
            json!({"type": "array"}),
            "",
            "[] may be null now; [] is anything, and was string",
        ),
        (
            map(text.clone()),
            map(json!({"type": "integer"})),
            "{} is integer, and was string",
            "{} is integer, and was string",
        ),
        (
            names(text.clone()),
            names(word.clone()),
            "{name} takes only some values now",
            "",
        ),
    ] {
        for (schema, at, expected) in [
            ("New", "request.ip", of_request),
            ("Host", "200.hosts[].ip", of_answer),
        ] {
            let pointer = format!("/components/schemas/{schema}/properties/ip");
            // what is said of one place, without saying the place again and again
            let at = format!("POST /hosts: {at}");
            let said = said(&pointer, &old, &new).replace(&at, "");
            assert_eq!(said, expected, "{schema}: {old} -> {new}");
        }
    }
}
