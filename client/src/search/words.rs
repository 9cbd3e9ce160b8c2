//! Text as words to search for, in any script: without case and diacritics, and character by character where a script
//! writes no spaces between words.
//!
//! FTS5 has tokenizers of its own. `unicode61` makes one word of a whole Chinese or Thai sentence and splits Thai at its
//! vowel signs; `trigram` finds nothing by one or two characters, as many Chinese and Japanese words have.

use std::ops::Range;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Characters of a word that count. Longer ones are keys and encoded files; this much of them tells them apart.
const WORD_CHARS_MAX: usize = 64;

/// A word of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Without case and diacritics. Never empty; letters, digits, marks and signs only, so no query syntax is in it.
    pub folded: String,
    /// Where it stands, in bytes.
    pub at: Range<usize>,
}

/// The words of a text, in order.
pub fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut begun: Option<usize> = None;
    for (at, char) in text.char_indices() {
        match kind(char) {
            Kind::Within => {
                begun.get_or_insert(at);
            }
            // A sign that joins is part of a word, and begins none.
            Kind::Joiner => {}
            Kind::Alone => {
                if let Some(from) = begun.take() {
                    push(&mut words, text, from..at);
                }
                push(&mut words, text, at..at + char.len_utf8());
            }
            Kind::Between => {
                if let Some(from) = begun.take() {
                    push(&mut words, text, from..at);
                }
            }
        }
    }
    if let Some(from) = begun {
        push(&mut words, text, from..text.len());
    }
    words
}

fn push(words: &mut Vec<Word>, text: &str, at: Range<usize>) {
    let folded = fold(&text[at.clone()]);
    if !folded.is_empty() {
        words.push(Word { folded, at });
    }
}

/// What a character is to words.
enum Kind {
    /// A part of one.
    Within,
    /// A word by itself.
    Alone,
    /// Ends nothing and adds nothing.
    Joiner,
    /// Stands between words.
    Between,
}

fn kind(char: char) -> Kind {
    match char {
        'a'..='z' | 'A'..='Z' | '0'..='9' => Kind::Within,
        '\0'..='\x7f' => Kind::Between,
        // Soft hyphen, joiners, variation selectors, and skin tones of emoji.
        '\u{ad}' | '\u{200c}' | '\u{200d}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}' => {
            Kind::Joiner
        }
        _ if writes_no_spaces(char) || is_sign(char) => Kind::Alone,
        _ if char.is_alphanumeric() || is_combining_mark(char) => Kind::Within,
        _ => Kind::Between,
    }
}

/// Letters and marks of scripts without spaces between words, and Hangul, whose endings are written to the word.
fn writes_no_spaces(char: char) -> bool {
    let of_script = matches!(char,
        '\u{e00}'..='\u{eff}'         // Thai, Lao
        | '\u{f00}'..='\u{fff}'       // Tibetan
        | '\u{1000}'..='\u{109f}'     // Myanmar
        | '\u{1780}'..='\u{17ff}'     // Khmer
        | '\u{3005}'..='\u{3007}'     // 々〆〇
        | '\u{3041}'..='\u{30ff}'     // Hiragana, Katakana
        | '\u{3100}'..='\u{318f}'     // Bopomofo, Hangul letters
        | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{9fff}'     // Han
        | '\u{ac00}'..='\u{d7a3}'     // Hangul
        | '\u{f900}'..='\u{faff}'
        | '\u{ff66}'..='\u{ff9f}'     // half-width Katakana
        | '\u{20000}'..='\u{3ffff}'   // Han
    );
    of_script && (char.is_alphanumeric() || is_combining_mark(char))
}

/// Pictures that people search for: emoji and symbols.
fn is_sign(char: char) -> bool {
    matches!(char, '\u{2600}'..='\u{27bf}' | '\u{1f000}'..='\u{1faff}')
}

/// Without case, diacritics and compatibility forms.
fn fold(word: &str) -> String {
    if word.is_ascii() {
        return word[..word.len().min(WORD_CHARS_MAX)].to_ascii_lowercase();
    }
    word.nfkd()
        .filter(|it| !is_diacritic(*it))
        .flat_map(char::to_lowercase)
        // What lower case puts on `İ` goes too.
        .filter(|it| !is_diacritic(*it) && (it.is_alphanumeric() || is_combining_mark(*it) || is_sign(*it)))
        .flat_map(|it| plain(it).map_or_else(|| vec![it], |plain| plain.chars().collect()))
        .nfc()
        .take(WORD_CHARS_MAX)
        .collect()
}

/// Marks that people leave out when they search. Vowel signs of other scripts are no diacritics.
fn is_diacritic(char: char) -> bool {
    matches!(char,
        '\u{300}'..='\u{36f}'
        | '\u{591}'..='\u{5c7}'     // Hebrew points
        | '\u{610}'..='\u{61a}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}' // Arabic vowels and the stretching stroke
        | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}'
    )
}

/// Letters that are a plain letter with a stroke, or two, to those who have no key for them; Unicode does not take them
/// apart.
fn plain(char: char) -> Option<&'static str> {
    Some(match char {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'đ' | 'ð' => "d",
        'ł' => "l",
        'ħ' => "h",
        'þ' => "th",
        'ı' => "i",
        'ς' => "σ",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folded(text: &str) -> Vec<String> {
        words(text).into_iter().map(|it| it.folded).collect()
    }

    #[test]
    fn words_are_what_stands_between_spaces_and_signs() {
        assert_eq!(folded("Don't apt-get x86_64!"), ["don", "t", "apt", "get", "x86", "64"]);
        assert_eq!(folded("  "), [""; 0]);
    }

    #[test]
    fn case_and_diacritics_do_not_count() {
        assert_eq!(
            folded("ÉCOLE Straße İstanbul Łódź Đặng Ærø ΟΔΟΣ"),
            ["ecole", "strasse", "istanbul", "lodz", "dang", "aero", "οδοσ"]
        );
        assert_eq!(folded("e\u{301}cole ﬁle ＡＢＣ"), ["ecole", "file", "abc"]);
        assert_eq!(folded("مُحَمَّد שָׁלוֹם Ёлка"), ["محمد", "שלום", "елка"]);
    }

    #[test]
    fn scripts_without_spaces_are_read_character_by_character() {
        assert_eq!(folded("图书馆 ok"), ["图", "书", "馆", "ok"]);
        assert_eq!(folded("がっこう"), ["が", "っ", "こ", "う"]);
        assert_eq!(folded("학교에서"), ["학", "교", "에", "서"]);
        assert_eq!(folded("ที่นี่"), ["ท", "ี", "่", "น", "ี", "่"]);
        // Hindi has spaces, and its vowel signs belong to the word.
        assert_eq!(folded("हिन्दी में"), ["हिन्दी", "में"]);
    }

    #[test]
    fn a_sign_is_a_word_whatever_its_colour() {
        assert_eq!(folded("good👍🏽job ❤️"), ["good", "👍", "job", "❤"]);
    }

    proptest! {
        #[test]
        fn words_stand_in_order_in_the_text_and_hold_no_syntax(text in any::<String>()) {
            let mut reached = 0;
            for word in words(&text) {
                prop_assert!(word.at.start >= reached && word.at.end > word.at.start);
                prop_assert!(text.get(word.at.clone()).is_some());
                prop_assert!(!word.folded.is_empty());
                prop_assert!(!word.folded.chars().any(|it| it.is_ascii() && !it.is_ascii_alphanumeric()));
                prop_assert!(!word.folded.contains(char::is_whitespace));
                reached = word.at.end;
            }
        }
    }
}
