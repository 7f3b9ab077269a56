//! The dialect of the agent's configuration: that of Python 2's `ConfigParser`, which the original agent used.
//!
//! Existing files must work unchanged, and they hold regular expressions, `#` and `;` inside arguments. The INI
//! crates at hand each treat one of these differently, hence these lines. Nothing is interpolated: a value is what
//! is written, but for `%%`, which is `%`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

/// One file, read; what could not be understood stands in `problems`, so that one bad line costs one section.
#[derive(Debug, Default)]
pub(crate) struct Ini {
    path: PathBuf,
    /// Keys in lower case and their values, by section name as written.
    pub(crate) sections: BTreeMap<String, BTreeMap<String, String>>,
    /// The lines that are neither section, key nor continuation.
    pub(crate) problems: Vec<Problem>,
}

/// A line that could not be understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Counted from 1.
    pub(crate) line: usize,
    /// The section that it stands in; `None` above the first one.
    pub(crate) section: Option<String>,
    /// What is wrong.
    pub(crate) message: &'static str,
}

impl Ini {
    /// Reads and parses `path`.
    ///
    /// # Errors
    /// When the file cannot be read. A byte that is not UTF-8, as in an old comment, becomes U+FFFD.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let mut ini = Self::parse(&String::from_utf8_lossy(&fs::read(path)?));
        ini.path = path.to_owned();
        Ok(ini)
    }

    /// The file that was read.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn parse(text: &str) -> Self {
        let mut ini = Self::default();
        let mut section: Option<String> = None;
        let mut key: Option<String> = None;
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            if line.trim().is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            let parsed = if line.starts_with(char::is_whitespace) {
                ini.continue_value(section.as_deref(), key.as_deref(), line)
            } else if let Some(name) = section_name(line) {
                ini.sections.entry(name.to_owned()).or_default();
                section = Some(name.to_owned());
                key = None;
                Ok(())
            } else {
                ini.set(section.as_deref(), line).map(|set| key = Some(set))
            };
            if let Err(message) = parsed {
                ini.problems.push(Problem {
                    line: index + 1,
                    section: section.clone(),
                    message,
                });
            }
        }
        for value in ini.sections.values_mut().flat_map(BTreeMap::values_mut) {
            *value = value.replace("%%", "%");
        }
        ini
    }

    fn set(&mut self, section: Option<&str>, line: &str) -> Result<String, &'static str> {
        let section = section.ok_or("a key before the first [section]")?;
        let (key, value) = line
            .split_once(['=', ':'])
            .ok_or("neither a [section] nor `key = value`")?;
        let key = key.trim_end().to_lowercase();
        if key.is_empty() {
            return Err("a value without a key");
        }
        let value = match without_comment(value).trim() {
            "\"\"" => "",
            value => value,
        };
        self.sections
            .entry(section.to_owned())
            .or_default()
            .insert(key.clone(), value.to_owned());
        Ok(key)
    }

    fn continue_value(
        &mut self,
        section: Option<&str>,
        key: Option<&str>,
        line: &str,
    ) -> Result<(), &'static str> {
        let value = section
            .zip(key)
            .and_then(|(section, key)| self.sections.get_mut(section)?.get_mut(key))
            .ok_or("an indented line continues a value, and there is none above it")?;
        let more = without_comment(line).trim();
        if !more.is_empty() {
            value.push('\n');
            value.push_str(more);
        }
        Ok(())
    }
}

fn section_name(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix('[')?.split_once(']')?;
    (!name.is_empty()).then_some(name)
}

/// Cuts at the first `;` that follows white space; a `;` inside a word (`-w 1;2`) belongs to the value.
fn without_comment(value: &str) -> &str {
    let end = value
        .char_indices()
        .zip(value.chars().skip(1))
        .find(|((_, before), this)| *this == ';' && before.is_whitespace())
        .map_or(value.len(), |((at, _), _)| at);
    &value[..end]
}

impl Provider for Ini {
    fn metadata(&self) -> Metadata {
        Metadata::from("INI file", self.path.as_path())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let sections = self.sections.iter().map(|(name, keys)| {
            let keys: Dict = keys
                .iter()
                .map(|(key, value)| (key.clone(), Value::from(value.as_str())))
                .collect();
            (name.clone(), Value::from(keys))
        });
        Ok(Profile::Default.collect(sections.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `text` stands in `[s]`; `expected` is `key=value` in the order of the keys.
    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let ini = Ini::parse(&format!("[s]\n{text}"));
        assert_eq!(ini.problems, []);
        let found: Vec<_> = ini.sections["s"]
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[track_caller]
    fn check_problem(text: &str, line: usize, section: Option<&str>) {
        let ini = Ini::parse(text);
        let found: Vec<_> = ini
            .problems
            .iter()
            .map(|problem| (problem.line, problem.section.as_deref()))
            .collect();
        assert_eq!(found, [(line, section)], "{text}");
    }

    #[test]
    fn values() {
        check(
            r"args = -r '\d+' -C '#5' -p 20% -w 1;2",
            &[("args", r"-r '\d+' -C '#5' -p 20% -w 1;2")],
        );
        check("cmd=/bin/x ; comment", &[("cmd", "/bin/x")]);
        check("a: b", &[("a", "b")]);
        check("a:b=c", &[("a", "b=c")]);
        check("url = http://h:5000/?a=b", &[("url", "http://h:5000/?a=b")]);
        check("LISTEN_Port = 1", &[("listen_port", "1")]);
        check("a = 1\nA = 2", &[("a", "2")]);
        check(
            "a = 100%%\nb = 100%\nc = %(x)s %%d",
            &[("a", "100%"), ("b", "100%"), ("c", "%(x)s %d")],
        );
        check(
            "a = ; nothing\nb =;x\nc =",
            &[("a", ""), ("b", ";x"), ("c", "")],
        );
        check("a = \"\"\nb = \"x\"", &[("a", ""), ("b", "\"x\"")]);
        check("a = 1\t; tab\nb = é ; non-ASCII", &[("a", "1"), ("b", "é")]);
        check("# c\n; c\n\na = x # y", &[("a", "x # y")]);
        check("a = 1\r\nb = 2\r\n", &[("a", "1"), ("b", "2")]);
    }

    #[test]
    fn continuation() {
        check(
            "args = -a\n   -b ; comment\n\n\t-c 'x'\nb = 1",
            &[("args", "-a\n-b\n-c 'x'"), ("b", "1")],
        );
        check("args =\n   -a", &[("args", "\n-a")]);
        check(
            "a = 1\n# a comment does not end the value\n  2",
            &[("a", "1\n2")],
        );
        check(
            "env = {'K': 'V',\n       'L': 'W'}",
            &[("env", "{'K': 'V',\n'L': 'W'}")],
        );
    }

    #[test]
    fn sections() {
        let ini = Ini::parse("[main]\na = 1\n[check_x] trailing\nb = 2\n[main]\nc = 3\n");
        assert_eq!(ini.problems, []);
        assert_eq!(ini.sections.keys().collect::<Vec<_>>(), ["check_x", "main"]);
        assert_eq!(ini.sections["main"].len(), 2);
    }

    #[test]
    fn problems() {
        check_problem("a = 1", 1, None);
        check_problem("[s]\nnonsense", 2, Some("s"));
        check_problem("[s]\n= 1", 2, Some("s"));
        check_problem("[s]\n  a = 1", 2, Some("s"));
        check_problem("[s]\na = 1\n[]", 3, Some("s"));
    }
}
