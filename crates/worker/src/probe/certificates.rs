//! Whom a worker talks to: an agent's certificate is pinned by its fingerprint, not signed by anybody. The leaf
//! must be the pinned one *and* the handshake must be signed with its key; without the second, everybody who has
//! seen the certificate could show it.

use std::fmt::Write as _;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use sha2::{Digest, Sha256};

use super::directory::{Directory, host_of};

/// Lower-case hex SHA-256 over a certificate's DER.
pub(super) fn fingerprint(der: &[u8]) -> String {
    Sha256::digest(der)
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// The TLS settings for calling agents.
pub(super) fn tls(directory: Arc<Directory>) -> Result<rustls::ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pins {
            directory,
            algorithms,
        }))
        .with_no_client_auth();
    // A resumed session shows no certificate, and so would outlive its pin.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

#[derive(Debug)]
struct Pins {
    directory: Arc<Directory>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pins {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let host_id = host_of(&name.to_str()).ok_or(CertificateError::NotValidForName)?;
        let shown = fingerprint(leaf);
        match self.directory.pin(host_id) {
            Some(pin) if pin != shown => {
                self.directory.refuse(host_id, shown);
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whether a handshake failed because its signature was not made with the certificate's key.
pub(super) fn is_bad_signature(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(CertificateError::BadSignature)
    )
}

/// Whether a handshake failed because of a pin.
pub(super) fn is_pin_mismatch(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_fingerprint_is_lower_case_hex() {
        assert_eq!(
            super::fingerprint(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
