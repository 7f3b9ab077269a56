//! The description of the API, made from the code of its handlers.

use stalker_domain::wire::{API_KEY_HEADER, REGISTER_KEY_HEADER};
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::{Modify, OpenApi};

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
    tags(
        (name = "registration", description = "What agents call"),
        (name = "hosts", description = "Monitored machines"),
        (name = "checks", description = "Scheduled tests and their present state"),
        (name = "state_changes", description = "History"),
        (name = "notifications", description = "Messages about alerts, and what became of them"),
        (name = "channels", description = "Where alerts are told, as the configuration says"),
        (name = "cluster", description = "The cluster as a whole"),
        (name = "health", description = "What balancers and supervisors call"),
    ),
    components(schemas(Problem)),
    modifiers(&Keys)
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
    }
}

/// The whole description.
pub(crate) fn document() -> Document {
    routes::documented().into_openapi()
}

/// The whole description as YAML: the same bytes for the same code, ending in a newline.
#[must_use]
pub fn openapi_yaml() -> String {
    let yaml = document()
        .to_yaml()
        .expect("a document that was built from types can be written");
    format!("{}\n", yaml.trim_end())
}
