//! An invite that is read aloud and typed.

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};

use super::{Fingerprint, base32};

/// Symbols that name the key: 75 bits. Whoever wants to stand in for the relay has to make some 2^75 keys first, which is
/// beyond reach; that is why a typed code needs nothing else to be safe from an impostor (docs/decisions.md).
const KEY_SYMBOLS: usize = 15;

/// Symbols of the secret: 45 bits. It can only be guessed by asking the relay, which limits how often.
const SECRET_SYMBOLS: usize = 9;

/// Symbols between two dashes.
const GROUP: usize = 5;

/// An invite as 25 symbols in five groups: 15 that name the relay's key, 9 that admit, and one that shows mistyping.
#[derive(Clone, PartialEq, Eq)]
pub struct ShortCode {
    key: String,
    secret: String,
}

/// Why a text is no short code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShortCodeError {
    /// It has another form.
    #[error("a code has 25 letters and digits, in five groups")]
    Shape,
    /// A symbol is wrong, or two are swapped.
    #[error("this code is mistyped: compare it letter by letter")]
    Mistyped,
}

impl ShortCode {
    /// The same invite as a link with this code, to the relay with this key.
    pub fn new(key: &Fingerprint, code: &str) -> Self {
        Self { key: key.to_string().chars().take(KEY_SYMBOLS).collect(), secret: Self::secret_of(code) }
    }

    /// The secret that stands for a link's code. Both admit alike; from the shorter one nobody gets the longer.
    pub fn secret_of(code: &str) -> String {
        let hash = Sha256::new_with_prefix(b"circles short code\0").chain_update(code).finalize();
        base32::encode(&hash).chars().take(SECRET_SYMBOLS).collect()
    }

    /// Whether a secret has the form of those that are typed.
    pub fn is_secret(code: &str) -> bool {
        code.len() == SECRET_SYMBOLS
    }

    /// What the relay wants to see.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Whether it is an invite of the relay with this key.
    pub fn names(&self, key: &Fingerprint) -> bool {
        key.to_string().starts_with(&self.key)
    }
}

impl fmt::Display for ShortCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = format!("{}{}", self.key, self.secret);
        let whole = format!("{body}{}", base32::symbol(check(&body)));
        for (at, symbol) in whole.chars().enumerate() {
            if at > 0 && at % GROUP == 0 {
                f.write_str("-")?;
            }
            write!(f, "{symbol}")?;
        }
        Ok(())
    }
}

/// Without the secret, so that it does not reach a log.
impl fmt::Debug for ShortCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShortCode").field("key", &self.key).finish_non_exhaustive()
    }
}

impl FromStr for ShortCode {
    type Err = ShortCodeError;

    fn from_str(text: &str) -> Result<Self, ShortCodeError> {
        let typed: String = text.chars().filter(|it| !it.is_whitespace() && *it != '-').collect();
        let whole = canonical(&typed);
        if whole.len() != KEY_SYMBOLS + SECRET_SYMBOLS + 1 || whole.len() != typed.chars().count() {
            return Err(ShortCodeError::Shape);
        }
        let (body, last) = whole.split_at(KEY_SYMBOLS + SECRET_SYMBOLS);
        if last.chars().next().and_then(base32::value) != Some(check(body)) {
            return Err(ShortCodeError::Mistyped);
        }
        let (key, secret) = body.split_at(KEY_SYMBOLS);
        Ok(Self { key: key.to_owned(), secret: secret.to_owned() })
    }
}

/// The symbols as they are written, without what is none.
fn canonical(text: &str) -> String {
    text.chars().filter_map(base32::value).map(base32::symbol).collect()
}

/// A polynomial over GF(32) with the symbols as coefficients, at a generator of the field: any one wrong symbol and any two
/// that are swapped show, as in the checksums of BIP 173.
fn check(symbols: &str) -> u8 {
    symbols.chars().filter_map(base32::value).fold(0, |sum, symbol| times_generator(sum ^ symbol))
}

/// Times x in GF(2)[x] / (x^5 + x^2 + 1).
fn times_generator(value: u8) -> u8 {
    let doubled = value << 1;
    if doubled & 0b10_0000 == 0 { doubled } else { doubled ^ 0b10_0101 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code() -> ShortCode {
        ShortCode::new(&Fingerprint::of(b"key"), "0123456789abcdef")
    }

    #[test]
    fn a_code_is_read_as_people_write_it() {
        let code = code();
        let text = code.to_string();
        assert_eq!(text.len(), 29, "{text}");
        assert_eq!(text.parse(), Ok(code.clone()));
        assert_eq!(text.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l").parse(), Ok(code.clone()));
        assert!(code.names(&Fingerprint::of(b"key")) && !code.names(&Fingerprint::of(b"another")));
        assert!(!format!("{code:?}").contains(code.secret()));
    }

    #[test]
    fn what_is_no_code_is_refused_with_its_reason() {
        assert_eq!("ABCDE".parse::<ShortCode>(), Err(ShortCodeError::Shape));
        assert_eq!("https://relay.example/join#abc".parse::<ShortCode>(), Err(ShortCodeError::Shape));
    }

    proptest! {
        #[test]
        fn one_wrong_symbol_shows(at in 0..25_usize, other in 0..32_u8) {
            let mut symbols: Vec<char> = code().to_string().replace('-', "").chars().collect();
            prop_assume!(symbols[at] != base32::symbol(other));
            symbols[at] = base32::symbol(other);
            prop_assert_eq!(symbols.iter().collect::<String>().parse::<ShortCode>(), Err(ShortCodeError::Mistyped));
        }

        #[test]
        fn two_swapped_symbols_show(a in 0..25_usize, b in 0..25_usize) {
            let mut symbols: Vec<char> = code().to_string().replace('-', "").chars().collect();
            prop_assume!(symbols[a] != symbols[b]);
            symbols.swap(a, b);
            prop_assert_eq!(symbols.iter().collect::<String>().parse::<ShortCode>(), Err(ShortCodeError::Mistyped));
        }
    }
}
