//! The value of a check's `env`: a Python dict of strings, as the original agent evaluated it.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// Reads `{'K': 'V', "L": "W"}`; nothing at all is an empty dict. Names must be usable as environment variables.
///
/// # Errors
/// A sentence that says what was expected.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut reader = Reader {
        rest: text.trim().chars().peekable(),
    };
    if reader.rest.peek().is_none() {
        return Ok(BTreeMap::new());
    }
    let entries = reader.dict()?;
    reader.skip_space();
    match reader.rest.next() {
        Some(extra) => Err(format!("`{extra}` after the closing `}}`")),
        None => Ok(entries),
    }
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
}

impl Reader<'_> {
    fn dict(&mut self) -> Result<BTreeMap<String, String>, String> {
        let mut entries = BTreeMap::new();
        self.expect('{')?;
        while !self.take('}') {
            let name = self.string()?;
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(format!(
                    "{name:?} cannot be the name of an environment variable"
                ));
            }
            self.expect(':')?;
            let value = self.string()?;
            if value.contains('\0') {
                return Err(format!("the value of {name:?} holds a NUL"));
            }
            entries.insert(name, value);
            if !self.take(',') {
                self.expect('}')?;
                break;
            }
        }
        Ok(entries)
    }

    fn string(&mut self) -> Result<String, String> {
        self.skip_space();
        self.rest.next_if(|prefix| matches!(prefix, 'u' | 'U'));
        let quote = self
            .rest
            .next_if(|quote| matches!(quote, '\'' | '"'))
            .ok_or_else(|| self.surprise("a string"))?;
        let mut text = String::new();
        loop {
            match self.rest.next() {
                None => return Err("a string is not closed".to_owned()),
                Some(end) if end == quote => return Ok(text),
                Some('\\') => self.escape(&mut text)?,
                Some(other) => text.push(other),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), String> {
        match self.rest.next() {
            None => return Err("a string is not closed".to_owned()),
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some('r') => text.push('\r'),
            Some('\n') => {}
            Some('x') => text.push(self.code(2)?),
            Some('u') => text.push(self.code(4)?),
            Some(plain @ ('\\' | '\'' | '"')) => text.push(plain),
            // Python leaves an escape that it does not know as it stands.
            Some(other) => text.extend(['\\', other]),
        }
        Ok(())
    }

    fn code(&mut self, digits: usize) -> Result<char, String> {
        let hex: String = self.rest.by_ref().take(digits).collect();
        u32::from_str_radix(&hex, 16)
            .ok()
            .and_then(char::from_u32)
            .ok_or_else(|| format!("`{hex}` is not the {digits} hex digits of a character"))
    }

    fn take(&mut self, wanted: char) -> bool {
        self.skip_space();
        self.rest.next_if_eq(&wanted).is_some()
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.take(wanted) {
            Ok(())
        } else {
            Err(self.surprise(&format!("`{wanted}`")))
        }
    }

    fn surprise(&mut self, wanted: &str) -> String {
        match self.rest.peek() {
            Some(found) => format!(
                "expected {wanted}, found `{found}`: it must be a dict of strings, {{'K': 'V'}}"
            ),
            None => format!(
                "expected {wanted}, found the end: it must be a dict of strings, {{'K': 'V'}}"
            ),
        }
    }

    fn skip_space(&mut self) {
        while self.rest.next_if(|space| space.is_whitespace()).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let found = parse(text).expect(text);
        let found: Vec<_> = found
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn dicts() {
        check("", &[]);
        check("{}", &[]);
        check("{'K': 'V'}", &[("K", "V")]);
        check(
            "{ 'K':'V',\n\"L\" : u'it\\'s', }",
            &[("K", "V"), ("L", "it's")],
        );
        check(
            r"{'K': 'a\tb\\c\x41\u00e9\d', 'E': ''}",
            &[("E", ""), ("K", "a\tb\\cAé\\d")],
        );
    }

    #[test]
    fn refused() {
        for text in [
            "{'K': 1}",
            "{'K'}",
            "['K']",
            "{'K': 'V'} x",
            "{'K': 'V",
            "{'': 'V'}",
            "{'A=B': 'V'}",
            "K=V",
            "{'K': 'V' 'L'}",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
