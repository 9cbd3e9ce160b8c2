//! The relay's key: made once, kept with the campus.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use circles_protocol::lan::Fingerprint;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

/// The file of the key in the data directory.
const KEY_FILE: &str = "lan-key.pem";

/// A name that no network resolves (RFC 6761, 6.4): a certificate must have one, and nobody looks at it.
const CERTIFICATE_NAME: &str = "relay.circles.invalid";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be made or read.
    #[error("the relay's key in {path} cannot be kept: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The file is no key, or the key makes no certificate. A new one would be another relay to everyone who was there.
    #[error(
        "the relay's key in {path} is damaged: {reason}. Put it back from a backup; without it everyone must be invited anew"
    )]
    Key {
        /// Which.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

/// The key that a relay is known by on the LAN (design section 7): an ECDSA key on P-256, which the data directory keeps
/// beside the campus. Whoever copies the directory copies the identity.
pub struct Identity {
    key: KeyPair,
    path: String,
}

impl Identity {
    /// Reads the key, or makes it at the first call.
    pub fn keep(data_dir: &Path) -> Result<Self, IdentityError> {
        let path = data_dir.join(KEY_FILE);
        let shown = path.display().to_string();
        let cannot = |source| IdentityError::File { path: shown.clone(), source };
        let damaged = |error: rcgen::Error| IdentityError::Key { path: shown.clone(), reason: error.to_string() };
        let key = match fs::read_to_string(&path) {
            Ok(pem) => KeyPair::from_pem(&pem).map_err(damaged)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = KeyPair::generate().map_err(damaged)?;
                store(&path, key.serialize_pem().as_bytes()).map_err(cannot)?;
                // Of two processes that were first, both go on with the key that is on the disk.
                KeyPair::from_pem(&fs::read_to_string(&path).map_err(cannot)?).map_err(damaged)?
            }
            Err(error) => return Err(cannot(error)),
        };
        Ok(Self { key, path: shown })
    }

    /// What clients pin.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.key.subject_public_key_info())
    }

    /// How it is served: TLS 1.3 alone, which all clients speak, and which does not show the certificate to who listens in.
    pub fn tls(&self) -> Result<Arc<ServerConfig>, IdentityError> {
        let damaged = |reason: String| IdentityError::Key { path: self.path.clone(), reason };
        let mut params =
            CertificateParams::new([CERTIFICATE_NAME.to_owned()]).map_err(|error| damaged(error.to_string()))?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, CERTIFICATE_NAME);
        let certificate = params.self_signed(&self.key).map_err(|error| damaged(error.to_string()))?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .and_then(|it| it.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key))
            .map_err(|error| damaged(error.to_string()))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// Writes the file for this user alone, whole or not at all, and never over another.
fn store(path: &Path, content: &[u8]) -> io::Result<()> {
    let part = path.with_extension(format!("{}.part", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&part).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    let linked = written.and_then(|()| fs::hard_link(&part, path));
    fs::remove_file(&part)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // A rename or link is durable once its directory is; Windows has no such thing, and needs none.
    if cfg!(unix) { File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_only_this_user_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = Identity::keep(dir.path()).unwrap();
        assert_eq!(Identity::keep(dir.path()).unwrap().fingerprint(), first.fingerprint());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(dir.path().join(KEY_FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Identity::keep(other.path()).unwrap().fingerprint(), first.fingerprint());
        first.tls().unwrap();
    }

    #[test]
    fn a_damaged_key_is_an_error_and_not_a_new_identity() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(KEY_FILE), "damaged").unwrap();
        assert!(matches!(Identity::keep(dir.path()), Err(IdentityError::Key { .. })));
        assert_eq!(fs::read_to_string(dir.path().join(KEY_FILE)).unwrap(), "damaged");
    }
}
