//! Reads a body by hand, field by field, because a derived parser stops at the first mistake: whoever sent it learns of all
//! of them at once, each with its place.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::error::{Error, FieldError};

/// What a body holds, as `read` takes it.
///
/// # Errors
/// All wrong fields.
pub(crate) fn read<T>(body: &Value, read: impl FnOnce(&mut Fields) -> T) -> Result<T, Error> {
    let Some(map) = body.as_object() else {
        return Err(Error::field("body", expected("an object", body)));
    };
    let mut errors = Vec::new();
    let taken = read(&mut Fields {
        at: String::new(),
        map,
        errors: &mut errors,
    });
    match errors.is_empty() {
        true => Ok(taken),
        false => Err(Error::BadFields(errors)),
    }
}

/// The fields of one object, and the list into which their mistakes go.
pub(crate) struct Fields<'a> {
    pub(crate) at: String,
    pub(crate) map: &'a Map<String, Value>,
    pub(crate) errors: &'a mut Vec<FieldError>,
}

impl<'a> Fields<'a> {
    pub(crate) fn required<T>(
        &mut self,
        field: &str,
        parse: impl FnOnce(&'a Value) -> Result<T, String>,
    ) -> Option<T> {
        if !self.map.contains_key(field) {
            self.wrong(field, "is missing".to_owned());
        }
        self.parse(field, self.map.get(field)?, parse)
    }

    /// Absent and null are the same.
    pub(crate) fn optional<T>(
        &mut self,
        field: &str,
        parse: impl FnOnce(&'a Value) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.map.get(field).filter(|value| !value.is_null())?;
        self.parse(field, value, parse)
    }

    fn parse<T>(
        &mut self,
        field: &str,
        value: &'a Value,
        parse: impl FnOnce(&'a Value) -> Result<T, String>,
    ) -> Option<T> {
        parse(value)
            .map_err(|message| self.wrong(field, message))
            .ok()
    }

    pub(crate) fn wrong(&mut self, field: &str, message: String) {
        self.errors.push(FieldError {
            at: format!("{}{field}", self.at),
            message,
        });
    }
}

pub(crate) fn text(value: &Value) -> Result<String, String> {
    let text = value.as_str().ok_or_else(|| expected("a string", value))?;
    if text.contains('\0') {
        return Err("must not hold a NUL".to_owned());
    }
    Ok(text.to_owned())
}

/// Text that is not empty, and not longer than so many characters. White space around it is no part of it.
pub(crate) fn short(value: &Value, longest: usize) -> Result<String, String> {
    let text = text(value)?.trim().to_owned();
    match text.chars().count() {
        0 => Err("must not be empty".to_owned()),
        n if n > longest => Err(format!("has {n} characters; {longest} are the most")),
        _ => Ok(text),
    }
}

/// A list of such texts.
pub(crate) fn shorts(value: &Value, longest: usize) -> Result<Vec<String>, String> {
    let list = value
        .as_array()
        .ok_or_else(|| expected("a list of strings", value))?;
    list.iter().map(|text| short(text, longest)).collect()
}

/// One of these words.
pub(crate) fn one_of(value: &Value, words: &[&str]) -> Result<String, String> {
    match value.as_str() {
        Some(word) if words.contains(&word) => Ok(word.to_owned()),
        _ => Err(expected(&words.join(", "), value)),
    }
}

/// Unix seconds, with a fraction or without.
pub(crate) fn unix(value: &Value) -> Result<DateTime<Utc>, String> {
    let seconds = value
        .as_f64()
        // the database's years end long after 9999, chrono's text does not
        .filter(|seconds| (0.0..253_402_300_800.0).contains(seconds));
    seconds
        .and_then(|seconds| DateTime::from_timestamp_millis((seconds * 1000.0) as i64))
        .ok_or_else(|| expected("unix seconds", value))
}

pub(crate) fn integer(value: &Value, range: RangeInclusive<i64>) -> Result<i64, String> {
    let wanted = || match *range.end() {
        i64::MAX => format!("an integer from {}", range.start()),
        end => format!("an integer from {} to {end}", range.start()),
    };
    // 5.0 is an integer too, to JSON and to whoever has no other numbers
    let whole = || {
        let number = value.as_f64().filter(|number| number.fract() == 0.0)?;
        (number.abs() < 9e15).then_some(number as i64)
    };
    let number = value.as_i64().or_else(whole);
    let number = number.ok_or_else(|| expected(&wanted(), value))?;
    if !range.contains(&number) {
        return Err(format!("must be {}, not {number}", wanted()));
    }
    Ok(number)
}

pub(crate) fn expected(what: &str, value: &Value) -> String {
    format!("must be {what}, not {}", kind(value))
}

/// What a value is, for people.
pub(crate) fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) if text.len() <= 40 => value.to_string(),
        Value::String(_) => "a long string".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
