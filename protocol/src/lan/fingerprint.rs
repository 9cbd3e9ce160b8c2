//! The name of a relay's key.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{base32, words::WORDS};

/// Words that stand for a fingerprint where people compare. Four are 32 bits: enough to tell the relays of a house apart,
/// and not enough to trust one by, which is what invites are for.
const WORDS_SHOWN: usize = 4;

/// The SHA-256 of a relay's public key, in the form in which a certificate carries it (`SubjectPublicKeyInfo`, RFC 5280,
/// 4.1.2.7). It stays when certificate, address and name change. Written in 52 symbols of Crockford's Base32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Fingerprint([u8; 32]);

/// A text is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint has 52 of 0-9A-Z without I, L, O and U")]
pub struct FingerprintError;

impl Fingerprint {
    /// That of a public key in DER.
    pub fn of(public_key_info: &[u8]) -> Self {
        Self(Sha256::digest(public_key_info).into())
    }

    /// Its bytes.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From bytes that were stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The same to be compared by people, as `maple-otter-quartz-river`.
    pub fn words(&self) -> String {
        let words: Vec<&str> = self.0.iter().take(WORDS_SHOWN).map(|it| WORDS[usize::from(*it)]).collect();
        words.join("-")
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base32::encode(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        base32::decode(text).and_then(|it| it.try_into().ok()).map(Self).ok_or(FingerprintError)
    }
}

impl From<Fingerprint> for String {
    fn from(it: Fingerprint) -> Self {
        it.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = FingerprintError;

    fn try_from(text: String) -> Result<Self, FingerprintError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_written_and_read() {
        let of = Fingerprint::of(b"key");
        assert_eq!(of.to_string().len(), 52);
        assert_eq!(of.to_string().parse(), Ok(of));
        assert_eq!("".parse::<Fingerprint>(), Err(FingerprintError));
        assert_eq!("0".repeat(51).parse::<Fingerprint>(), Err(FingerprintError));
        assert_eq!("Z".repeat(52).parse::<Fingerprint>(), Err(FingerprintError), "bits that no byte has");
    }

    #[test]
    fn each_byte_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<_> = WORDS.iter().collect();
        assert_eq!(words.len(), 256);
        assert_eq!(Fingerprint::from_bytes([0; 32]).words(), "acorn-acorn-acorn-acorn");
        assert_eq!(Fingerprint::from_bytes([255; 32]).words(), "sparrow-sparrow-sparrow-sparrow");
    }
}
