//! Hashes of tokens, codes and contents.

use circles_protocol::InviteId;
use sha2::{Digest, Sha256};

/// The SHA-256 of parts, each preceded by its length, so that no two lists of parts give the same bytes.
pub fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// [`digest`], cut to what tells contents apart: two of one author would have to collide in 128 bits.
pub fn content_hash(parts: &[&[u8]]) -> [u8; 16] {
    digest(parts).first_chunk().copied().expect("32 bytes have 16")
}

/// What is stored of a token or code: they are random, so that a plain hash is enough.
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// The code of an invite: 128 bits that only the campus can derive, so that a repeated request gets the same link.
pub fn invite_code(secret: &[u8; 32], id: InviteId) -> String {
    let bytes = content_hash(&[b"invite", secret, id.uuid().as_bytes()]);
    format!("{:032x}", u128::from_be_bytes(bytes))
}
