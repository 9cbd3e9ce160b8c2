//! What is written as text and read back: cursors above all, because a reader stores them and sends them again.

use std::{
    fmt::{Debug, Display},
    str::FromStr,
};

use circles_protocol::{
    CircleId, Cursor, Epoch, InviteLink, MessageId, Scope,
    lan::{Fingerprint, ShortCode},
};

/// Whatever reads as one of these is written so that it reads as the same again, and nothing makes the readers panic.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    comes_back::<Cursor>(text);
    comes_back::<Epoch>(text);
    comes_back::<Scope>(text);
    comes_back::<CircleId>(text);
    comes_back::<MessageId>(text);
    comes_back::<InviteLink>(text);
    comes_back::<ShortCode>(text);
    comes_back::<Fingerprint>(text);
}

fn comes_back<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    let Ok(read) = text.parse::<T>() else { return };
    let again = read.to_string().parse::<T>();
    assert_eq!(again.ok().as_ref(), Some(&read), "{text:?} was read, and is not read again");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_read_is_read_again(
            text in prop_oneof![
                "[a-zA-Z0-9._-]{0,40}\\.[0-9]{0,20}",
                "(campus|circle:|person:)[0-9a-f-]{0,40}",
                "circles://join\\?[a-zA-Z0-9=&%.:,_-]{0,80}",
                "https?://[a-z0-9.:-]{0,20}/[a-z/]{0,9}(\\?[a-z=&%0-9]{0,20})?#[a-zA-Z0-9]{0,40}",
                "[a-zA-Z0-9 -]{0,60}",
                ".{0,40}",
            ],
        ) {
            super::check(text.as_bytes());
        }
    }
}
