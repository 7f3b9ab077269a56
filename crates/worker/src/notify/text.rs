//! Subject and body of a message: templates, the channel's own or the provider's, and what they put in escaped as the
//! target needs it. What came from a host is data.

use anyhow::Context;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use stalker_db::notifications::ClaimedNotification;

use super::facts::Facts;

/// How a target wants what is not its own markup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escape {
    /// Taken as it is.
    Plain,
    /// HTML: of mail, and of Telegram.
    Html,
    /// Slack's: no mention of `<!channel>` or a user, no link.
    Slack,
    /// Of Discord and Teams.
    Markdown,
}

const ESCAPES: [(Escape, &str); 4] = [
    (Escape::Plain, "plain"),
    (Escape::Html, "html"),
    (Escape::Slack, "slack"),
    (Escape::Markdown, "markdown"),
];

/// The templates of a channel that says nothing else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Defaults {
    pub(crate) subject: &'static str,
    pub(crate) body: &'static str,
}

/// For targets that show a message whole.
pub(crate) const LONG: Defaults = Defaults {
    subject: "{{ summary }}",
    body: include_str!("text/long.jinja"),
};
/// For targets that show, or charge for, a line or two: the body says it all.
pub(crate) const SHORT: Defaults = Defaults {
    subject: "{{ summary }}",
    body: include_str!("text/short.jinja"),
};

/// The templates of one channel.
#[derive(Debug)]
pub(crate) struct Texts {
    environment: Environment<'static>,
}

impl Texts {
    /// Reads templates, and tries them with every kind of message.
    ///
    /// # Errors
    /// Which one is broken, and where.
    pub(crate) fn new(
        subject: Option<&str>,
        body: Option<&str>,
        defaults: Defaults,
    ) -> anyhow::Result<Self> {
        let mut environment = Environment::new();
        // a misspelt name is refused at start, not told as nothing
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()?,
        );
        environment.set_auto_escape_callback(|name| {
            let (_, escape) = name.split_once('.').unwrap_or_default();
            match ESCAPES.iter().find(|(_, name)| *name == escape) {
                Some((Escape::Plain, _)) | None => AutoEscape::None,
                Some((_, name)) => AutoEscape::Custom((*name).into()),
            }
        });
        environment.set_formatter(|out, state, value| {
            let text = shown(value);
            let escape = match state.auto_escape() {
                _ if value.is_safe() => Escape::Plain,
                AutoEscape::Custom(named) => ESCAPES
                    .iter()
                    .find(|(_, name)| **name == *named)
                    .map_or(Escape::Plain, |(escape, _)| *escape),
                _ => Escape::Plain,
            };
            out.write_str(&escape.apply(&text))?;
            Ok(())
        });
        for (part, template) in [
            ("subject", subject.unwrap_or(defaults.subject)),
            ("body", body.unwrap_or(defaults.body)),
        ] {
            for (_, escape) in ESCAPES {
                environment
                    .add_template_owned(format!("{part}.{escape}"), template.to_owned())
                    .with_context(|| format!("the template {part} cannot be read"))?;
            }
        }
        let texts = Self { environment };
        texts.try_all()?;
        Ok(texts)
    }

    fn try_all(&self) -> anyhow::Result<()> {
        for (kind, alert_kind) in [
            ("trigger", "check"),
            ("repeat", "host"),
            ("resolve", "check"),
            ("trigger", "flood"),
            ("trigger", "cluster"),
            ("acknowledge", "check"),
        ] {
            let facts = Facts::of(&example(kind, alert_kind), Some("https://stalker.example"));
            for part in ["subject", "body"] {
                self.render(part, Escape::Plain, &facts).with_context(|| {
                    format!("the template {part} fails for a {kind} of a {alert_kind}")
                })?;
            }
        }
        Ok(())
    }

    /// The subject: one line.
    pub(crate) fn subject(&self, escape: Escape, facts: &Facts) -> String {
        let text = self.render("subject", escape, facts);
        let text = text.unwrap_or_else(|error| rescue(&error, escape, facts));
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The body.
    pub(crate) fn body(&self, escape: Escape, facts: &Facts) -> String {
        let text = self.render("body", escape, facts);
        let text = text.unwrap_or_else(|error| rescue(&error, escape, facts));
        text.trim().to_owned()
    }

    fn render(
        &self,
        part: &str,
        escape: Escape,
        facts: &Facts,
    ) -> Result<String, minijinja::Error> {
        let (_, name) = ESCAPES[escape as usize];
        let template = self.environment.get_template(&format!("{part}.{name}"))?;
        let facts_of = Value::from(Serde(facts));
        match &facts.url {
            // ours, and a backslash in it leads nowhere
            Some(url) if escape == Escape::Markdown => {
                let url = Value::from_safe_string(url.clone());
                template.render(context! { url, ..facts_of })
            }
            _ => template.render(facts_of),
        }
    }
}

/// A template that was good at the start may fail with what came from a host: better a plain message than none.
fn rescue(error: &minijinja::Error, escape: Escape, facts: &Facts) -> String {
    tracing::error!(%error, channel = facts.channel, "a template failed; the message is told in plain words");
    escape.apply(&facts.summary)
}

fn shown(value: &Value) -> String {
    if value.is_none() {
        String::new()
    } else {
        value.to_string()
    }
}

impl Escape {
    /// Makes text that means nothing but itself.
    pub(crate) fn apply(self, text: &str) -> String {
        let mut escaped = String::with_capacity(text.len());
        for character in text.chars() {
            match (self, character) {
                (Self::Html | Self::Slack, '&') => escaped.push_str("&amp;"),
                (Self::Html | Self::Slack, '<') => escaped.push_str("&lt;"),
                (Self::Html | Self::Slack, '>') => escaped.push_str("&gt;"),
                (Self::Html, '"') => escaped.push_str("&quot;"),
                (
                    Self::Markdown,
                    '\\' | '*' | '_' | '~' | '`' | '|' | '>' | '#' | '[' | ']' | '(' | ')' | '<',
                ) => {
                    escaped.push('\\');
                    escaped.push(character);
                }
                (_, character) => escaped.push(character),
            }
        }
        escaped
    }
}

/// A message that could have been.
pub(crate) fn example(kind: &str, alert_kind: &str) -> ClaimedNotification {
    let opened_at = chrono::DateTime::UNIX_EPOCH;
    let claimed_at = opened_at + chrono::TimeDelta::minutes(12);
    ClaimedNotification {
        notification_id: 7,
        lease: 1,
        channel: "oncall".to_owned(),
        kind: kind.to_owned(),
        dedup_key: "db1:check_disk:42".to_owned(),
        attempt: 2,
        check_id: Some(3),
        hostname: "db1".to_owned(),
        ip: "192.0.2.1".to_owned(),
        check_name: if alert_kind == "check" {
            "check_disk"
        } else {
            ""
        }
        .to_owned(),
        priority: 1,
        status: (alert_kind == "check").then_some(2),
        fails: 3,
        out: "DISK CRITICAL - free space: / 12 MB (0%)".to_owned(),
        opened_at,
        closed_at: (kind == "resolve").then_some(claimed_at),
        close_reason: (kind == "resolve").then(|| "recovered".to_owned()),
        is_known: true,
        is_of_flapping: false,
        secret_id: None,
        alert_kind: alert_kind.to_owned(),
        members: if alert_kind == "flood" { 2 } else { 0 },
        member_names: if alert_kind == "flood" {
            vec!["check_a on db1".to_owned(), "check_b on db1".to_owned()]
        } else {
            Vec::new()
        },
        owner: "ann".to_owned(),
        is_possible_repeat: false,
        created_at: opened_at,
        claimed_at,
        expires_at: None,
        last_failure: Some("the receiver answered 503".to_owned()),
        held_for: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(template: Option<&str>, escape: Escape, about: &ClaimedNotification) -> String {
        let texts = Texts::new(None, template, LONG).expect("the template is good");
        texts.body(escape, &Facts::of(about, Some("https://stalker.example/")))
    }

    #[test]
    fn it_says_what_people_need_at_three_in_the_morning() {
        assert_eq!(
            body(None, Escape::Plain, &example("trigger", "check")),
            "DISK CRITICAL - free space: / 12 MB (0%)\n\
             since 1970-01-01T00:00:00Z (12 min), failed 3 times in a row\n\
             host db1 (192.0.2.1), priority 1\n\
             ann takes care of it\n\
             12 min late: attempt 2, the one before failed: the receiver answered 503\n\
             https://stalker.example/#/hosts/db1/checks/check_disk"
        );
    }

    #[test]
    fn a_link_leads_where_it_says() {
        let page = "https://stalker.example/#/hosts/db1/checks/check_disk";
        for escape in [Escape::Plain, Escape::Html, Escape::Slack, Escape::Markdown] {
            let text = body(None, escape, &example("trigger", "check"));
            assert!(text.ends_with(&format!("\n{page}")), "{escape:?}: {text}");
        }
    }

    #[test]
    fn what_came_from_a_host_is_data() {
        let mut about = example("trigger", "check");
        about.out = "<!channel> <b>&\"*_@here {{ host }}".to_owned();
        let template = Some("<i>{{ output }}</i>");
        for (escape, said) in [
            (
                Escape::Plain,
                r#"<i><!channel> <b>&"*_@here {{ host }}</i>"#,
            ),
            (
                Escape::Html,
                "<i>&lt;!channel&gt; &lt;b&gt;&amp;&quot;*_@here {{ host }}</i>",
            ),
            (
                Escape::Slack,
                r#"<i>&lt;!channel&gt; &lt;b&gt;&amp;"*_@here {{ host }}</i>"#,
            ),
            (
                Escape::Markdown,
                r#"<i>\<!channel\> \<b\>&"\*\_@here {{ host }}</i>"#,
            ),
        ] {
            assert_eq!(body(template, escape, &about), said, "{escape:?}");
        }
    }

    #[test]
    fn a_broken_template_is_refused_and_named() {
        for (template, named) in [
            ("{{ output", "the template body cannot be read"),
            ("{{ outptu }}", "undefined"),
            ("{{ output|nothing }}", "nothing"),
            (
                "{% if is_over %}{{ wrong }}{% endif %}",
                "for a resolve of a check",
            ),
        ] {
            let error = Texts::new(None, Some(template), LONG).expect_err(template);
            let error = format!("{error:#}");
            assert!(error.contains(named), "{template}: {error}");
        }
    }
}
