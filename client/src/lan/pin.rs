//! Judging a relay by its key.

use std::{error::Error, net::SocketAddr, sync::Arc};

use circles_protocol::lan::{Fingerprint, ShortCode};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{error::ClientError, limits::PROBE_TIME_MAX};

/// The name that is told to relays on the LAN. It resolves nowhere (RFC 6761, 6.4), and nobody looks at it: the key counts.
pub const NAME: &str = "relay.circles.invalid";

/// Which relay is accepted.
#[derive(Clone, Debug)]
pub enum Pin {
    /// The one with this key.
    Key(Fingerprint),
    /// The one that a typed code names, until its whole key is known.
    Code(ShortCode),
}

/// Another relay answered.
#[derive(Debug, thiserror::Error)]
#[error("the key of this relay is another")]
pub struct WrongKey {
    /// Its key.
    pub found: Fingerprint,
}

impl Pin {
    /// The configuration of TLS that accepts this relay and no other. TLS 1.3 alone, as the relay serves it.
    pub fn tls(&self) -> Arc<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
        let verifier = Verifier { pin: self.clone(), provider: provider.clone() };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("ring has TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }

    fn admits(&self, key: &Fingerprint) -> bool {
        match self {
            Self::Key(pinned) => pinned == key,
            Self::Code(code) => code.names(key),
        }
    }
}

/// Asks who is at an address; the key of the relay if it is the pinned one. Nothing but the handshake is said.
pub async fn probe(address: SocketAddr, tls: Arc<ClientConfig>) -> Result<Fingerprint, ClientError> {
    let shake = async {
        let socket = TcpStream::connect(address).await?;
        let name = ServerName::try_from(NAME).expect("it is a name");
        TlsConnector::from(tls).connect(name, socket).await
    };
    let socket = match tokio::time::timeout(PROBE_TIME_MAX, shake).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return Err(refused(&error)),
        Err(_) => return Err(ClientError::Offline("no answer".to_owned())),
    };
    let certificate = socket.get_ref().1.peer_certificates().and_then(|it| it.first());
    certificate.and_then(|it| key_of(it).ok()).ok_or(ClientError::NotARelay)
}

fn refused(error: &std::io::Error) -> ClientError {
    match wrong_key(error) {
        Some(found) => ClientError::WrongKey { found },
        None => ClientError::Offline(error.to_string()),
    }
}

/// The key of another relay, if that is what an error comes from.
pub fn wrong_key(error: &(dyn Error + 'static)) -> Option<Fingerprint> {
    let mut cause = Some(error);
    while let Some(at) = cause {
        if let Some(wrong) = at.downcast_ref::<WrongKey>() {
            return Some(wrong.found);
        }
        if let Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other)))) = at.downcast_ref() {
            return other.downcast_ref::<WrongKey>().map(|it| it.found);
        }
        cause = match at.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            // What an I/O error was made from is not its source, but that one's source is.
            Some(inner) => Some(inner),
            None => at.source(),
        };
    }
    None
}

fn key_of(certificate: &CertificateDer<'_>) -> Result<Fingerprint, rustls::Error> {
    Ok(Fingerprint::of(&ParsedCertificate::try_from(certificate)?.subject_public_key_info()))
}

/// Accepts the pinned key, whatever else the certificate says: its names mean nothing where addresses change, and its dates
/// nothing to a computer whose clock is off. That the peer has the key is proven by its signature of the handshake.
#[derive(Debug)]
struct Verifier {
    pin: Pin,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = key_of(end_entity)?;
        if self.pin.admits(&found) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::Other(OtherError(Arc::new(WrongKey { found }))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
