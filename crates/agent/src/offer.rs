//! What the agent offers at present: its settings and checks, as one value that is replaced as a whole.

use std::net::IpAddr;
use std::sync::Arc;

use reqwest::Url;
use stalker_domain::wire::Registration;

use crate::checks::CheckSet;
use crate::settings::Settings;

/// One state of the configuration and the scripts.
#[derive(PartialEq)]
pub(crate) struct Offer {
    pub(crate) settings: Arc<Settings>,
    pub(crate) checks: CheckSet,
    /// The key with which servers call: configured, or the one that the agent made.
    pub(crate) check_key: String,
    /// Some script is still being written: there will be another offer in a moment.
    pub(crate) is_unsettled: bool,
}

/// What does not change while the agent runs.
#[derive(Clone)]
pub(crate) struct Identity {
    /// The address to register, if the server should not take the one that it sees.
    pub(crate) ip: Option<String>,
    pub(crate) port: u16,
    /// Lower-case hex SHA-256 over the leaf certificate's DER.
    pub(crate) cert_sha256: String,
}

impl Offer {
    /// What is sent to the server.
    pub(crate) fn registration(&self, identity: &Identity) -> Registration {
        let settings = &self.settings;
        Registration {
            hostname: settings.hostname.clone(),
            roles: settings.roles.clone(),
            ip: settings
                .ip
                .map(|ip| ip.to_string())
                .or_else(|| identity.ip.clone()),
            port: Some(identity.port),
            agent_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            cert_sha256: Some(identity.cert_sha256.clone()),
            check_key: self.may_send_key().then(|| self.check_key.clone()),
            checks: self
                .checks
                .iter()
                .map(|(name, check)| (name.clone(), check.registered.clone()))
                .collect(),
        }
    }

    /// Only where nobody can listen: over TLS, or within this machine.
    pub(crate) fn may_send_key(&self) -> bool {
        is_private(&self.settings.master_url)
    }
}

fn is_private(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    url.scheme() == "https" || host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_ways() {
        for (url, expected) in [
            ("https://stalker.example", true),
            ("http://localhost:5000", true),
            ("http://127.0.0.1:5000", true),
            ("http://[::1]:5000", true),
            ("http://10.0.0.7:5000", false),
            ("http://localhost.example", false),
            ("http://127.0.0.1.example", false),
        ] {
            assert_eq!(is_private(&Url::parse(url).expect(url)), expected, "{url}");
        }
    }
}
