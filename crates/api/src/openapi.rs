//! The description of the API, made from the code of its handlers.

mod breaking;

use serde_json::Value;
use stalker_domain::wire::{API_KEY_HEADER, REGISTER_KEY_HEADER};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{AnyOfBuilder, Object, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{HeaderBuilder, OpenApi as Document, RefOr};
use utoipa::{Modify, OpenApi};

use crate::cookie;
use crate::error::Problem;
use crate::routes;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Stalker",
        description = "What a cluster monitors: hosts, their checks, and what became of them.\n\n\
            Times are unix seconds. A trailing slash is optional everywhere. Errors are problem documents (RFC 9457).",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/", description = "Where this document was found")),
    tags(
        (name = "registration", description = "What agents call"),
        (name = "hosts", description = "Monitored machines"),
        (name = "checks", description = "Scheduled tests and their present state"),
        (name = "state_changes", description = "History"),
        (name = "alerts", description = "Hard problems, from their beginning to their end"),
        (name = "maintenances", description = "Where people work, so that nobody is told"),
        (name = "notifications", description = "Messages about alerts, and what became of them"),
        (name = "channels", description = "Where alerts are told, as the configuration says"),
        (name = "users", description = "People who sign in, and where they are signed in"),
        (name = "keys", description = "Keys of programs, and of agents that register"),
        (name = "cluster", description = "The cluster as a whole"),
        (name = "health", description = "What balancers and supervisors call"),
    ),
    components(schemas(Problem)),
    modifiers(&Keys, &Environment)
)]
pub(crate) struct Base;

struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        for (scheme, header, description) in [
            (
                "api_key",
                API_KEY_HEADER,
                "A key with access viewer, operator or admin; the access that an operation needs is in its description.",
            ),
            (
                "register_key",
                REGISTER_KEY_HEADER,
                "The key that all agents of a cluster share, for registration only.",
            ),
        ] {
            let key = ApiKey::Header(ApiKeyValue::with_description(
                header.to_uppercase(),
                description.to_owned(),
            ));
            components.add_security_scheme(scheme, SecurityScheme::ApiKey(key));
        }
        let cookie = ApiKeyValue::with_description(
            cookie::PLAIN.to_owned(),
            "The cookie of a session, as signing in sets it; behind TLS it is called `__Host-stalker`.".to_owned(),
        );
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    }
}

/// What the original's agents send of a check's environment. It is accepted and not kept, so no type of ours has it.
struct Environment;

impl Modify for Environment {
    fn modify(&self, document: &mut Document) {
        let schemas = document
            .components
            .as_mut()
            .map(|components| &mut components.schemas);
        let check = schemas.and_then(|schemas| schemas.get_mut("RegisteredCheck"));
        let Some(RefOr::T(Schema::Object(check))) = check else {
            return;
        };
        let any = Object::with_type(Type::Object);
        let empty = ObjectBuilder::new()
            .schema_type(Type::String)
            .max_length(Some(0));
        let environment = AnyOfBuilder::new()
            .description(Some(
                "The script's environment, as the original's agents say it: an object, or `\"\"` for none. It is not kept, and in no answer.",
            ))
            .item(any)
            .item(empty)
            .item(Object::with_type(Type::Null));
        check
            .properties
            .insert("env".to_owned(), environment.into());
    }
}

/// The whole description.
pub(crate) fn document() -> Document {
    let mut document = routes::documented().into_openapi();
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.post,
            &mut item.put,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            also_for_sessions(operation);
            with_what_every_answer_has(operation);
        }
    }
    document
}

/// What a key opens, a session opens as well.
fn also_for_sessions(operation: &mut Operation) {
    let key = SecurityRequirement::new::<_, [&str; 0], &str>("api_key", []);
    if let Some(security) = &mut operation.security
        && security.contains(&key)
    {
        security.push(SecurityRequirement::new::<_, [&str; 0], &str>(
            "session",
            [],
        ));
    }
}

/// What is so of a status wherever it is answered: `error` adds these headers, and only a body can be too large.
fn with_what_every_answer_has(operation: &mut Operation) {
    let answers = &mut operation.responses.responses;
    if operation.request_body.is_none() {
        answers.remove("413");
    }
    for (status, name, kind, description) in [
        (
            "401",
            "WWW-Authenticate",
            Type::String,
            "`ApiKey`, if this is a problem document",
        ),
        ("429", "Retry-After", Type::Integer, "Seconds to wait"),
        ("503", "Retry-After", Type::Integer, "Seconds to wait"),
    ] {
        if let Some(RefOr::T(answer)) = answers.get_mut(status) {
            let header = HeaderBuilder::new()
                .schema(Some(Object::with_type(kind)))
                .description(Some(description));
            answer
                .headers
                .insert(name.to_owned(), header.build().into());
        }
    }
}

/// The whole description as YAML: the same bytes for the same code, ending in a newline.
#[must_use]
pub fn openapi_yaml() -> String {
    let yaml = document()
        .to_yaml()
        .expect("a document that was built from types can be written");
    format!("{}\n", yaml.trim_end())
}

/// The promises of an older description that this one breaks, each with its place; none, if all are kept.
///
/// # Errors
/// If `older` is no YAML.
pub fn broken_promises(
    older: &str,
) -> Result<Vec<String>, impl std::error::Error + Send + Sync + use<>> {
    let now = serde_json::to_value(document())
        .expect("a document that was built from types can be written");
    yaml_serde::from_str::<Value>(older).map(|older| breaking::breaking(&older, &now))
}
