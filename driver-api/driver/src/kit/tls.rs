//! TLS as strict as `spec.connect.tls.mode` says, with `ring` and nothing else.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::error::{DriverError, ErrorKind, Result};
use crate::server::{ServerTls, TlsMode};

/// The version that a [`ClientConfig`] of this module is of.
pub use rustls;

/// How a client speaks TLS with a server, or none if the mode is [`TlsMode::Disable`].
///
/// | Mode | The certificate is signed by an authority | It names the host |
/// |---|---|---|
/// | `require` | not checked | not checked |
/// | `verify-ca` | checked; `tls.ca` MUST be given | not checked |
/// | `verify-full` | checked; the machine's own authorities if `tls.ca` is not given | checked |
///
/// In every mode the server proves that it has the key of its certificate. `tls.ca` and the client certificate are
/// PEM; several certificates in one text are all used.
///
/// # Errors
///
/// [`ErrorKind::Invalid`] if a certificate or key cannot be read, or the mode asks for an authority that is not there.
/// The message names the field and shows nothing of a key.
pub fn client_config(tls: &ServerTls) -> Result<Option<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match tls.mode {
        TlsMode::Disable => return Ok(None),
        TlsMode::Require => Arc::new(AnyCertificate(Arc::clone(&provider))),
        TlsMode::VerifyCa => Arc::new(AnyName(by_authorities(tls, &provider)?)),
        TlsMode::VerifyFull => by_authorities(tls, &provider)?,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| DriverError::new(ErrorKind::Internal, "cannot set up TLS").with_source(error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match &tls.client_certificate {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate, "the client certificate")?;
            // The parser's own error might show a part of the key.
            let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
                .map_err(|_| invalid("the client certificate's private key is no PEM of a private key"))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                invalid("the client certificate and its private key do not fit").with_source(error)
            })?
        }
    };
    Ok(Some(config))
}

/// The authorities that the server's certificate is checked against; none if the mode checks no chain. It is what
/// [`client_config`] uses, for a client library that takes authorities and no configuration.
///
/// # Errors
///
/// [`ErrorKind::Invalid`] if one cannot be read, or the mode asks for an authority that is not there.
pub fn authorities(tls: &ServerTls) -> Result<Vec<CertificateDer<'static>>> {
    match (&tls.ca, tls.mode) {
        (_, TlsMode::Disable | TlsMode::Require) => Ok(Vec::new()),
        (Some(ca), TlsMode::VerifyCa | TlsMode::VerifyFull) => {
            let authorities = certificates(ca, "connect.tls.ca")?;
            for certificate in &authorities {
                RootCertStore::empty().add(certificate.clone()).map_err(|error| {
                    invalid("connect.tls.ca holds a certificate that cannot be read").with_source(error)
                })?;
            }
            Ok(authorities)
        }
        // Any public authority's signature under any name proves nothing.
        (None, TlsMode::VerifyCa) => Err(invalid("connect.tls.mode verify-ca needs connect.tls.ca")),
        // A machine's own list may hold what cannot be parsed.
        (None, TlsMode::VerifyFull) => {
            let is_readable =
                |found: &CertificateDer<'static>| RootCertStore::empty().add(found.clone()).is_ok();
            Ok(rustls_native_certs::load_native_certs().certs.into_iter().filter(is_readable).collect())
        }
    }
}

/// Checks the chain and the name.
fn by_authorities(tls: &ServerTls, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities(tls)?);
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build().map_err(
        |error| {
            invalid("there is no authority to check the server's certificate with: set connect.tls.ca")
                .with_source(error)
        },
    )
}

fn certificates(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>> {
    let parsed: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match parsed {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(invalid(&format!("{what} is no PEM of a certificate"))),
    }
}

fn invalid(message: &str) -> DriverError {
    DriverError::new(ErrorKind::Invalid, message)
}

/// `verify-ca`: the chain is checked, the name is not.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last, when the chain has been found good.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// `require`: the peer holds the key of its certificate, whatever that certificate is.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use crate::secret::Secret;
    use crate::testkit::OTHER_AUTHORITY;

    use super::*;

    fn refusal(tls: &ServerTls) -> DriverError {
        client_config(tls).map(|_| ()).unwrap_err()
    }

    #[test]
    fn only_plain_text_has_no_configuration() {
        for (mode, is_some) in [(TlsMode::Disable, false), (TlsMode::Require, true)] {
            assert_eq!(client_config(&ServerTls::new(mode, None)).unwrap().is_some(), is_some, "{mode:?}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        for ca in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let error = refusal(&ServerTls::new(TlsMode::VerifyFull, Some(ca.to_owned())));
            assert_eq!(error.kind(), ErrorKind::Invalid, "{ca}");
        }
    }

    #[test]
    fn authorities_are_those_that_the_mode_checks() {
        let given =
            |mode| authorities(&ServerTls::new(mode, Some(OTHER_AUTHORITY.to_owned()))).unwrap().len();
        assert_eq!(given(TlsMode::Require), 0);
        assert_eq!(given(TlsMode::VerifyCa), 1);
        assert_eq!(given(TlsMode::VerifyFull), 1);
        assert!(authorities(&ServerTls::new(TlsMode::VerifyCa, None)).is_err());
    }

    #[test]
    fn verify_ca_needs_an_authority() {
        assert_eq!(refusal(&ServerTls::new(TlsMode::VerifyCa, None)).kind(), ErrorKind::Invalid);
    }

    #[test]
    fn a_bad_client_certificate_is_refused_without_showing_its_key() {
        let in_pem = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n";
        for (certificate, key, named) in [
            ("-----BEGIN", "hunter2", "the client certificate is no PEM"),
            (OTHER_AUTHORITY, "hunter2", "private key is no PEM"),
            (OTHER_AUTHORITY, in_pem, "private key"),
        ] {
            let tls = ServerTls::new(TlsMode::Require, None)
                .with_client_certificate(certificate.to_owned(), Secret::new(key));
            let error = refusal(&tls);
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.chain().contains(named), "{}", error.chain());
            assert!(!error.chain().contains("hunter2"));
        }
    }
}
