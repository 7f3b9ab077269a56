//! Reading the keys of one section, so that every complaint names the file (or variable), the section and the key.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// A value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: [{section}] {key}: {message}")]
pub struct SettingError {
    /// The file or the environment variable that the value stands in.
    pub place: String,
    /// The section's name.
    pub section: String,
    /// The key's name.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// A section's keys. Reading takes: what is left at the end is unknown.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    pub(crate) name: String,
    /// Where a key that is missing would be expected.
    file: String,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    value: String,
    place: String,
    is_read: bool,
}

impl Section {
    pub(crate) fn new(name: &str, file: &str) -> Self {
        Self {
            name: name.to_owned(),
            file: file.to_owned(),
            entries: BTreeMap::new(),
        }
    }

    pub(crate) fn insert(&mut self, key: &str, value: String, place: String) {
        self.entries.insert(
            key.to_owned(),
            Entry {
                value,
                place,
                is_read: false,
            },
        );
    }

    /// The value as written; an empty one counts as not given.
    pub(crate) fn text(&mut self, key: &str) -> Option<String> {
        let entry = self.entries.get_mut(key)?;
        entry.is_read = true;
        (!entry.value.is_empty()).then(|| entry.value.clone())
    }

    /// A value read by `FromStr`; `wanted` completes "… is not".
    pub(crate) fn parsed<T: std::str::FromStr>(
        &mut self,
        key: &str,
        wanted: &str,
    ) -> Result<Option<T>, SettingError> {
        let Some(text) = self.text(key) else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|_| self.error(key, format!("{text:?} is not {wanted}")))
    }

    pub(crate) fn number(
        &mut self,
        key: &str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, SettingError> {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        match self.parsed::<i64>(key, &wanted)? {
            Some(number) if !range.contains(&number) => {
                Err(self.error(key, format!("{number} is not {wanted}")))
            }
            number => Ok(number),
        }
    }

    pub(crate) fn flag(&mut self, key: &str) -> Result<Option<bool>, SettingError> {
        let Some(text) = self.text(key) else {
            return Ok(None);
        };
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" | "t" | "y" => Ok(Some(true)),
            "false" | "no" | "off" | "0" | "f" | "n" => Ok(Some(false)),
            _ => Err(self.error(key, format!("{text:?} is neither true nor false"))),
        }
    }

    pub(crate) fn error(&self, key: &str, message: impl Into<String>) -> SettingError {
        SettingError {
            place: self
                .entries
                .get(key)
                .map_or(&self.file, |entry| &entry.place)
                .clone(),
            section: self.name.clone(),
            key: key.to_owned(),
            message: message.into(),
        }
    }

    /// One warning for each key that nobody asked for: most likely a typing error.
    pub(crate) fn unknown_keys(&self) -> impl Iterator<Item = String> {
        self.entries
            .iter()
            .filter(|(_, entry)| !entry.is_read)
            .map(|(key, entry)| {
                format!(
                    "{}: [{}] {key}: unknown key, ignored",
                    entry.place, self.name
                )
            })
    }
}
