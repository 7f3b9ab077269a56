//! Provider `email`: SMTP (RFC 5321), text and HTML. A mail for each recipient, so that who is refused, or told later, does
//! not concern the others.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures::FutureExt;
use futures::future::BoxFuture;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use reqwest::Client;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::{Answer, Failure, Message, Protocol, Rate, mail};
use crate::config::Secret;

const BEGIN_CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Settings of `[channels.NAME] provider = "email"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailChannel {
    host: String,
    port: Option<u16>,
    #[serde(default)]
    tls: Encryption,
    /// Certificates in PEM that are trusted besides the web's.
    ca_file: Option<PathBuf>,
    user: Option<String>,
    password: Option<Secret>,
    from: String,
    /// Who is told, each by a mail of their own.
    to: Vec<String>,
}

/// How the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encryption {
    /// Begins in the clear; a server that does not offer more is not told.
    #[default]
    Starttls,
    /// From the first byte.
    Tls,
    /// Not at all.
    None,
}

impl Protocol for EmailChannel {
    fn validate(&self) -> anyhow::Result<()> {
        self.mailbox(&self.from).context("from")?;
        ensure!(!self.to.is_empty(), "to is empty: nobody would be told");
        for to in &self.to {
            self.mailbox(to).context("to")?;
        }
        ensure!(
            self.user.is_some() == self.password.is_some(),
            "user and password belong together"
        );
        ensure!(
            self.tls != Encryption::None || self.user.is_none(),
            "tls is none: the password would be sent for everybody to read"
        );
        self.tls_parameters().map(drop)
    }

    fn address(&self) -> String {
        format!("{} by {}:{}", self.to.join(", "), self.host, self.port())
    }

    fn other_secrets(&self) -> Vec<&Secret> {
        self.password.iter().collect()
    }

    fn rate(&self) -> Option<Rate> {
        Some(Rate {
            per_minute: 60.0,
            burst: 20.0,
        })
    }

    fn concurrency(&self) -> usize {
        2
    }

    /// A server counts whatever its recipients.
    fn counted_by(&self) -> String {
        format!(
            "{}:{} {}",
            self.host,
            self.port(),
            self.user.as_deref().unwrap_or_default()
        )
    }

    fn send<'a>(&'a self, _: &'a Client, message: &'a Message<'_>) -> BoxFuture<'a, Answer> {
        async move {
            let by = Instant::now() + message.timeout;
            let mail = match self.mail(message) {
                Ok(mail) => mail,
                Err(error) => return unsendable(&error),
            };
            let mut connection = match timeout_at(by, self.connect(message.timeout)).await {
                Ok(Ok(connection)) => connection,
                Ok(Err(error)) => return failed(&error, false),
                Err(_) => return unanswered(message.timeout, false),
            };
            let mut is_said = false;
            let handing_over = self.hand_over(&mut connection, &mail, &mut is_said);
            let Ok(answer) = timeout_at(by, handing_over).await else {
                return unanswered(message.timeout, is_said);
            };
            if answer.failure.is_none() {
                // it is theirs: how the connection ends means nothing, and nobody waits for that
                tokio::spawn(async move { timeout_at(by, connection.quit()).await });
            }
            answer
        }
        .boxed()
    }
}

impl EmailChannel {
    fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            Encryption::Starttls => 587,
            Encryption::Tls => 465,
            Encryption::None => 25,
        })
    }

    fn mailbox(&self, address: &str) -> anyhow::Result<Mailbox> {
        address
            .parse()
            .with_context(|| format!("{address} is no mail address"))
    }

    /// The same for each recipient alone, by their addresses.
    pub(crate) fn by_recipient(&self) -> Vec<(String, Self)> {
        let alone = |to: &String| {
            let address = self.mailbox(to).ok()?.email.to_string();
            let alone = Self {
                to: vec![to.clone()],
                ..self.clone()
            };
            Some((address, alone))
        };
        self.to.iter().filter_map(alone).collect()
    }

    /// Read for each mail, since certificates are renewed.
    fn tls_parameters(&self) -> anyhow::Result<TlsParameters> {
        let mut parameters = TlsParameters::builder(self.host.clone());
        if let Some(file) = &self.ca_file {
            let pem = std::fs::read(file)
                .with_context(|| format!("ca_file: cannot read {}", file.display()))?;
            // read without a word where there is none
            let is_certificate = pem
                .windows(BEGIN_CERTIFICATE.len())
                .any(|part| part == BEGIN_CERTIFICATE);
            let certificate = Certificate::from_pem(&pem)
                .ok()
                .filter(|_| is_certificate)
                .with_context(|| format!("ca_file: {} has no certificate", file.display()))?;
            parameters = parameters.add_root_certificate(certificate);
        }
        Ok(parameters.build_rustls()?)
    }

    fn mail(&self, message: &Message<'_>) -> anyhow::Result<lettre::Message> {
        let from = self.mailbox(&self.from)?;
        let domain = from.email.domain().to_owned();
        let mut mail = lettre::Message::builder()
            .from(from)
            .subject(mail::subject(message))
            .date(message.notification.claimed_at.into())
            .message_id(Some(mail::message_id(message, &domain)))
            // so that nobody's holiday is answered to us (RFC 3834)
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ));
        if let Some(first) = mail::references(message, &domain) {
            mail = mail.in_reply_to(first.clone()).references(first);
        }
        for to in &self.to {
            mail = mail.to(self.mailbox(to)?);
        }
        let (text, html) = (mail::text(message), mail::html(message));
        Ok(mail.multipart(MultiPart::alternative_plain_html(text, html))?)
    }

    /// A connection on which mails may be handed over: nothing has been told yet.
    async fn connect(&self, timeout: Duration) -> anyhow::Result<AsyncSmtpConnection> {
        let address = (self.host.as_str(), self.port());
        let hello = ClientId::default();
        let parameters = self.tls_parameters()?;
        let from_the_first_byte = (self.tls == Encryption::Tls).then(|| parameters.clone());
        let mut connection = AsyncSmtpConnection::connect_tokio1(
            address,
            Some(timeout),
            &hello,
            from_the_first_byte,
            None,
        )
        .await?;
        if self.tls == Encryption::Starttls {
            connection.starttls(parameters, &hello).await?;
        }
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            connection.auth(DEFAULT_MECHANISMS, &credentials).await?;
        }
        Ok(connection)
    }

    /// `is_said` once the mail itself is on its way.
    async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        mail: &lettre::Message,
        is_said: &mut bool,
    ) -> Answer {
        let envelope = mail.envelope();
        let from = Mail::new(envelope.from().cloned(), Vec::new());
        if let Err(error) = connection.command(from).await {
            return failed(&error.into(), false);
        }
        for to in envelope.to() {
            let to = Rcpt::new(to.clone(), Vec::new());
            if let Err(error) = connection.command(to).await {
                return failed(&error.into(), false);
            }
        }
        if let Err(error) = connection.command(Data).await {
            return failed(&error.into(), false);
        }
        *is_said = true;
        match connection.message(&mail.formatted()).await {
            Ok(response) => Answer {
                failure: None,
                may_have_arrived: true,
                http_status: Some(response.code().into()),
                excerpt: Some(readable(&response.message().collect::<Vec<_>>().join(" "))),
            },
            Err(error) => failed(&error.into(), true),
        }
    }
}

/// What an error of SMTP means: 4yz is worth another try, 5yz is final, and what breaks off too. Where the server has
/// answered, it has not taken the mail.
fn failed(error: &anyhow::Error, is_handed_over: bool) -> Answer {
    let smtp = error.downcast_ref::<Error>();
    if let Some(error) = smtp.filter(|error| error.status().is_some()) {
        return refused(reason(error), error.is_permanent(), code(error));
    }
    Answer {
        failure: Some(Failure::Passing {
            why: readable(&format!("{error:#}")),
            retry_after: None,
        }),
        may_have_arrived: is_handed_over,
        http_status: None,
        excerpt: None,
    }
}

fn refused(said: String, is_final: bool, code: Option<u16>) -> Answer {
    let why = format!("the mail server answered {said}");
    Answer {
        failure: Some(if is_final {
            Failure::Final(why)
        } else {
            Failure::Passing {
                why,
                retry_after: None,
            }
        }),
        may_have_arrived: false,
        http_status: code,
        excerpt: Some(said),
    }
}

fn unanswered(timeout: Duration, may_have_arrived: bool) -> Answer {
    Answer {
        failure: Some(Failure::Passing {
            why: format!("no answer within {} s", timeout.as_secs()),
            retry_after: None,
        }),
        may_have_arrived,
        http_status: None,
        excerpt: None,
    }
}

fn unsendable(error: &anyhow::Error) -> Answer {
    Answer {
        failure: Some(Failure::Final(format!("this cannot be a mail: {error:#}"))),
        may_have_arrived: false,
        http_status: None,
        excerpt: None,
    }
}

fn code(error: &Error) -> Option<u16> {
    error.status().map(u16::from)
}

/// Code and words of the server's answer.
fn reason(error: &Error) -> String {
    let code = code(error).map_or(String::new(), |code| format!("{code} "));
    let words =
        std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    format!("{code}{}", readable(&words))
}

/// What a server said, as PostgreSQL keeps it.
fn readable(said: &str) -> String {
    said.replace('\0', "\u{FFFD}")
}
