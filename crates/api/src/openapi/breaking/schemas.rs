//! Two schemas of the same thing. What a client sends must still be taken, so that the new one may only be wider; what a server
//! sends must be what it was known to be, so that it may only be narrower.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::entries;

/// Schemas within schemas; ours end long before.
const DEEPEST: usize = 12;

/// Who sends what a schema describes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Sender {
    Client,
    Server,
}

impl Sender {
    /// Of the old and the new, what is promised to be within the other.
    fn inner_and_outer<T>(self, old: T, new: T) -> (T, T) {
        match self {
            Self::Client => (old, new),
            Self::Server => (new, old),
        }
    }
}

/// Two documents, and what was found.
pub(super) struct Comparison<'a> {
    pub(super) old: &'a Value,
    pub(super) new: &'a Value,
    pub(super) broken: Vec<String>,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(old: &'a Value, new: &'a Value) -> Self {
        let broken = Vec::new();
        Self { old, new, broken }
    }

    pub(super) fn schema(
        &mut self,
        at: &str,
        old: &Value,
        new: &Value,
        sender: Sender,
        depth: usize,
    ) {
        let (old, new) = (whole(self.old, old), whole(self.new, new));
        if depth > DEEPEST {
            return;
        }
        let (was, is) = (Choice::of(self.old, &old), Choice::of(self.new, &new));
        let (inner, outer) = sender.inner_and_outer(&was, &is);
        if inner.may_be_null && !outer.may_be_null {
            self.broken.push(match sender {
                Sender::Client => format!("{at} must not be null now"),
                Sender::Server => format!("{at} may be null now"),
            });
        }
        if let ([one], [other]) = (was.schemas.as_slice(), is.schemas.as_slice()) {
            self.one(at, one, other, sender, depth);
            return;
        }
        for schema in &inner.schemas {
            let is_known = outer.schemas.iter().any(|known| {
                let (old, new) = sender.inner_and_outer(schema, known);
                let mut trial = Comparison::new(self.old, self.new);
                trial.one(at, old, new, sender, depth);
                trial.broken.is_empty()
            });
            if !is_known {
                let words = match sender {
                    Sender::Client => "is not taken any more",
                    Sender::Server => "is given now",
                };
                self.broken.push(format!("{at}: {} {words}", shown(schema)));
            }
        }
    }

    fn one(&mut self, at: &str, old: &Value, new: &Value, sender: Sender, depth: usize) {
        let (was, is) = (types(old), types(new));
        let (inner, outer) = sender.inner_and_outer(&was, &is);
        let is_within =
            |kind: &&str| outer.contains(kind) || *kind == "integer" && outer.contains("number");
        // without a type it may be anything
        let fits = outer.is_empty() || !inner.is_empty() && inner.iter().all(is_within);
        if !fits {
            let named = |types: &BTreeSet<&str>| match types.is_empty() {
                true => "anything".to_owned(),
                false => types.iter().copied().collect::<Vec<_>>().join(" or "),
            };
            self.broken
                .push(format!("{at} is {}, and was {}", named(&is), named(&was)));
        }
        self.words(at, old, new, sender);
        self.limits(at, old, new, sender);
        self.forms(at, old, new, sender);
        self.fields(at, old, new, sender, depth);
        for (key, sign) in [
            ("items", "[]"),
            ("additionalProperties", "{}"),
            ("propertyNames", "{name}"),
        ] {
            if old[key].is_object() || new[key].is_object() {
                self.schema(
                    &format!("{at}{sign}"),
                    &old[key],
                    &new[key],
                    sender,
                    depth + 1,
                );
            }
        }
    }

    /// Closed sets of values.
    fn words(&mut self, at: &str, old: &Value, new: &Value, sender: Sender) {
        let (was, is) = (words(old), words(new));
        let (inner, outer) = sender.inner_and_outer(was, is);
        let Some(outer) = outer else {
            return;
        };
        let Some(inner) = inner else {
            let words = match sender {
                Sender::Client => "takes only some values now",
                Sender::Server => "may have any value now",
            };
            self.broken.push(format!("{at} {words}"));
            return;
        };
        for word in inner.difference(&outer) {
            self.broken.push(match sender {
                Sender::Client => format!("{at} does not take {word} any more"),
                Sender::Server => format!("{at} may be {word} now"),
            });
        }
    }

    fn limits(&mut self, at: &str, old: &Value, new: &Value, sender: Sender) {
        for (limit, is_lower) in [
            ("minimum", true),
            ("exclusiveMinimum", true),
            ("minLength", true),
            ("minItems", true),
            ("minProperties", true),
            ("maximum", false),
            ("exclusiveMaximum", false),
            ("maxLength", false),
            ("maxItems", false),
            ("maxProperties", false),
        ] {
            let (inner, outer) = sender.inner_and_outer(old[limit].as_f64(), new[limit].as_f64());
            let is_within = match (inner, outer) {
                (_, None) => true,
                (None, Some(_)) => false,
                (Some(inner), Some(outer)) if is_lower => inner >= outer,
                (Some(inner), Some(outer)) => inner <= outer,
            };
            if !is_within {
                let (was, is) = (&old[limit], &new[limit]);
                self.broken
                    .push(format!("{at}: {limit} is {is}, and was {was}"));
            }
        }
    }

    /// Patterns and formats: which of two is narrower cannot be seen, but for numbers.
    fn forms(&mut self, at: &str, old: &Value, new: &Value, sender: Sender) {
        for form in ["pattern", "format"] {
            let (inner, outer) = sender.inner_and_outer(old[form].as_str(), new[form].as_str());
            let is_within = outer.is_none() || inner == outer;
            let is_smaller_number = matches!(
                (inner, outer),
                (Some("int32"), Some("int64")) | (Some("float"), Some("double"))
            );
            if !is_within && !is_smaller_number {
                let (was, is) = (&old[form], &new[form]);
                self.broken
                    .push(format!("{at}: {form} is {is}, and was {was}"));
            }
        }
    }

    fn fields(&mut self, at: &str, old: &Value, new: &Value, sender: Sender, depth: usize) {
        for (name, property) in entries(&old["properties"]) {
            let at = format!("{at}.{name}");
            match new["properties"].get(name) {
                Some(now) => self.schema(&at, property, now, sender, depth + 1),
                None => self.broken.push(format!("{at} is gone")),
            }
        }
        let (changed, words) = match sender {
            Sender::Client => (&required(new) - &required(old), "is required now"),
            Sender::Server => (&required(old) - &required(new), "may be absent now"),
        };
        // of what is gone, that was said
        for name in changed
            .iter()
            .filter(|name| new["properties"].get(name).is_some())
        {
            self.broken.push(format!("{at}.{name} {words}"));
        }
        if sender == Sender::Client
            && new["additionalProperties"] == false
            && old["additionalProperties"] != false
        {
            self.broken
                .push(format!("{at} takes no other fields any more"));
        }
    }
}

/// What a reference leads to; of several that must all be so, their sum.
fn whole(document: &Value, schema: &Value) -> Value {
    let mut schema = resolve(document, schema).clone();
    let Some(parts) = schema["allOf"].as_array().cloned() else {
        return schema;
    };
    let Some(sum) = schema.as_object_mut() else {
        return schema;
    };
    sum.remove("allOf");
    for part in &parts {
        add(sum, whole(document, part));
    }
    schema
}

fn add(sum: &mut Map<String, Value>, part: Value) {
    let Value::Object(part) = part else {
        return;
    };
    for (key, value) in part {
        match (sum.get_mut(&key), value) {
            (Some(Value::Object(fields)), Value::Object(more)) => fields.extend(more),
            (Some(Value::Array(names)), Value::Array(more)) => names.extend(more),
            (Some(_), _) => {}
            (None, value) => {
                sum.insert(key, value);
            }
        }
    }
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str().and_then(|to| to.strip_prefix('#')) {
        Some(pointer) => document.pointer(pointer).unwrap_or(&Value::Null),
        None => schema,
    }
}

/// What something may be: one of several schemas, and null apart, however that was written.
struct Choice {
    schemas: Vec<Value>,
    may_be_null: bool,
}

impl Choice {
    fn of(document: &Value, schema: &Value) -> Self {
        let listed = ["oneOf", "anyOf"]
            .iter()
            .find_map(|key| schema[key].as_array());
        let mut choice = Self {
            schemas: Vec::new(),
            may_be_null: false,
        };
        match listed {
            Some(listed) => {
                for schema in listed {
                    let one = Self::of(document, &whole(document, schema));
                    choice.schemas.extend(one.schemas);
                    choice.may_be_null |= one.may_be_null;
                }
            }
            None => choice.add(schema),
        }
        choice
    }

    fn add(&mut self, schema: &Value) {
        let mut kinds = types(schema);
        let is_anything = kinds.is_empty() && words(schema).is_none();
        self.may_be_null |= kinds.remove("null") || is_anything;
        if kinds.is_empty() && !is_anything && words(schema).is_none() {
            return;
        }
        let mut rest = schema.clone();
        if !kinds.is_empty() {
            rest["type"] = kinds.into_iter().collect();
        }
        self.schemas.push(rest);
    }
}

fn types(schema: &Value) -> BTreeSet<&str> {
    match &schema["type"] {
        Value::String(one) => BTreeSet::from([one.as_str()]),
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => BTreeSet::new(),
    }
}

/// The only values; `None` for any.
fn words(schema: &Value) -> Option<BTreeSet<String>> {
    if !schema["const"].is_null() {
        return Some(BTreeSet::from([schema["const"].to_string()]));
    }
    let words = schema["enum"].as_array()?;
    Some(words.iter().map(Value::to_string).collect())
}

fn required(schema: &Value) -> BTreeSet<String> {
    let names = schema["required"].as_array().into_iter().flatten();
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// An alternative in a word.
fn shown(schema: &Value) -> String {
    match words(schema) {
        Some(words) => words.into_iter().collect::<Vec<_>>().join(" or "),
        None if types(schema).is_empty() => "anything".to_owned(),
        None => types(schema).into_iter().collect::<Vec<_>>().join(" or "),
    }
}
