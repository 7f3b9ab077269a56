//! The agent's certificate: configured, or made at the first start. Servers pin its fingerprint.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use sha2::{Digest, Sha256};

use crate::settings::Settings;
use crate::state::{StateDir, hex};

/// Holds certificate and key, so that a crash cannot leave one without the other.
const OWN: &str = "certificate.pem";

/// What the agent shows to those who call it.
pub(crate) struct Certificate {
    pub(crate) tls: Arc<ServerConfig>,
    /// Lower-case hex SHA-256 over the leaf's DER.
    pub(crate) sha256: String,
}

impl Certificate {
    /// Reads what is configured, else what was made earlier, else makes one.
    pub(crate) fn load(settings: &Settings, state: &StateDir) -> anyhow::Result<Self> {
        if let Some(files) = &settings.certificate {
            let read = |path: &Path| {
                fs::read(path).with_context(|| format!("cannot read {}", path.display()))
            };
            return Self::new(&read(&files.cert)?, &read(&files.key)?).with_context(|| {
                format!(
                    "ssl_cert {} and ssl_key {} cannot be used",
                    files.cert.display(),
                    files.key.display()
                )
            });
        }
        if let Some(pem) = state.read(OWN)? {
            let own = Self::new(pem.as_bytes(), pem.as_bytes());
            return own.with_context(|| {
                format!(
                    "{} is damaged: remove it, and a new one is made",
                    state.path(OWN).display()
                )
            });
        }
        let pem = make(&settings.hostname)?;
        state.write(OWN, &pem)?;
        Self::new(pem.as_bytes(), pem.as_bytes())
    }

    fn new(cert_pem: &[u8], key_pem: &[u8]) -> anyhow::Result<Self> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(cert_pem)
            .collect::<Result<_, _>>()
            .context("the certificate is not PEM")?;
        ensure!(!chain.is_empty(), "there is no certificate in it");
        let key = PrivateKeyDer::from_pem_slice(key_pem)
            .context("the key is not PEM, or there is none")?;
        let sha256 = hex(&Sha256::digest(&chain[0]));
        let mut tls =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(chain, key)?;
        // Every connection shows the certificate, so that a pin is looked at every time; and nothing is kept.
        tls.session_storage = Arc::new(NoServerSessionStorage {});
        tls.send_tls13_tickets = 0;
        Ok(Self {
            tls: Arc::new(tls),
            sha256,
        })
    }
}

/// Self-signed, as PEM. ECDSA: signing costs a twelfth of RSA's.
fn make(hostname: &str) -> anyhow::Result<String> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
        .context("cannot make a key")?;
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, hostname);
    let certificate = params
        .self_signed(&key)
        .context("cannot make a certificate")?;
    Ok(format!("{}{}", certificate.pem(), key.serialize_pem()))
}
