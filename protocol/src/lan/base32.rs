//! Crockford's Base32: digits and letters without I, L, O and U, read without regard to case (<https://www.crockford.com/base32.html>).
//! It survives being read aloud, and 5 bits a symbol are short enough to type.

const SYMBOLS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The symbols of bytes, the first bits first; the last symbol is filled up with zero bits.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut held, mut bits) = (0_u16, 0);
    for byte in bytes {
        held = held << 8 | u16::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(symbol((held >> bits & 31) as u8));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(symbol((held << (5 - bits) & 31) as u8));
    }
    text
}

/// The symbol of five bits.
pub fn symbol(value: u8) -> char {
    char::from(SYMBOLS[usize::from(value)])
}

/// The five bits of a symbol, or none. What is easily mistaken for another symbol counts as that one.
pub fn value(symbol: char) -> Option<u8> {
    let symbol = match symbol.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    SYMBOLS.iter().position(|it| char::from(*it) == symbol).and_then(|at| u8::try_from(at).ok())
}

/// The bytes of symbols; none if a symbol is no such, or the bits beyond the last whole byte are not zero.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    let (mut held, mut bits) = (0_u16, 0);
    for symbol in text.chars() {
        held = held << 5 | u16::from(value(symbol)?);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 255) as u8);
            held &= (1 << bits) - 1;
        }
    }
    (bits < 5 && held == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes.clone()));
            prop_assert_eq!(decode(&encode(&bytes).to_lowercase()), Some(bytes));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
            if let Some(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes).len(), text.chars().count());
            }
        }
    }

    #[test]
    fn look_alikes_count_as_what_they_look_like() {
        assert_eq!(decode("oOiIlL00"), decode("00111100"));
        assert_eq!(value('U'), None);
    }
}
