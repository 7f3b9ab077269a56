//! Addresses of the web, whose path may be a key.

use anyhow::{Context, ensure};
use reqwest::Url;
use serde::Deserialize;

use super::Secret;

/// A URL to POST to. Shown is only where it leads.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct WebAddress(Secret);

impl WebAddress {
    /// # Errors
    /// What is wrong with it, without the address.
    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        let url = Url::parse(self.0.expose()).context("url cannot be read")?;
        ensure!(
            matches!(url.scheme(), "http" | "https"),
            "url is neither http nor https, but {}",
            url.scheme()
        );
        Ok(())
    }

    /// For whoever calls it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.0
    }

    /// Scheme, host and port.
    pub(crate) fn shown(&self) -> String {
        match Url::parse(self.0.expose()) {
            Ok(url) => url.origin().ascii_serialization(),
            Err(_) => String::new(),
        }
    }

    /// With a path below it.
    pub(crate) fn join(&self, path: &str) -> String {
        format!("{}/{path}", self.0.expose().trim_end_matches('/'))
    }
}

impl From<&str> for WebAddress {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}
