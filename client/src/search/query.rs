//! What a person's query means. There is no wrong query: what is no filter is words.

use circles_protocol::UnixMs;
use jiff::{Span, civil::Date, tz::TimeZone};

use super::words::{Word, words};

/// Characters of a query that are read, and phrases that are taken: more than anyone types.
const QUERY_CHARS_MAX: usize = 512;
const PHRASES_MAX: usize = 16;

/// A query: all of it must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Each must stand in the text.
    pub phrases: Vec<Phrase>,
    /// Written by one of them, if there are any.
    pub from: Vec<Phrase>,
    /// In one of them, if there are any.
    pub circles: Vec<Phrase>,
    /// Sent at this time or later.
    pub since: Option<UnixMs>,
    /// Sent before this time.
    pub before: Option<UnixMs>,
}

/// Words that follow one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase {
    /// Folded; at least one.
    pub words: Vec<String>,
    /// The last of them is only the beginning of a word: it is being typed.
    pub begins: bool,
}

impl Phrase {
    fn of(text: &str, begins: bool) -> Option<Self> {
        let words: Vec<String> = words(text).into_iter().map(|it| it.folded).collect();
        (!words.is_empty()).then_some(Self { words, begins })
    }

    /// Whether it stands in these words from this one on.
    pub fn stands_at(&self, text: &[Word], from: usize) -> bool {
        let Some(there) = text.get(from..from + self.words.len()) else { return false };
        let last = self.words.len() - 1;
        there.iter().zip(&self.words).enumerate().all(|(n, (word, wanted))| {
            if n == last && self.begins { word.folded.starts_with(wanted) } else { word.folded == *wanted }
        })
    }

    /// Whether it stands anywhere in these words.
    pub fn stands_in(&self, text: &[Word]) -> bool {
        (0..text.len()).any(|from| self.stands_at(text, from))
    }
}

impl Query {
    /// Reads a query; days are those of this time zone.
    ///
    /// `words` in any order, `"a phrase"`, `from:name`, `in:circle`, `before:2026-11-01`, `after:2026-11`, `on:2026`. The last
    /// word may be a beginning. `after:` holds from the first moment of its day, month or year.
    pub fn parse(text: &str, zone: &TimeZone) -> Self {
        let end = text.char_indices().nth(QUERY_CHARS_MAX).map_or(text.len(), |(at, _)| at);
        let mut query = Self::default();
        let mut rest = text[..end].trim();
        while !rest.is_empty() && query.phrases.len() < PHRASES_MAX {
            let (piece, after) = piece(rest);
            rest = after.trim_start();
            if !query.filter(&piece, zone) {
                // In quotes that are closed everything is meant as it stands.
                let begins = piece.open && rest.is_empty();
                query.phrases.extend(Phrase::of(piece.whole, begins));
            }
        }
        query
    }

    /// Whether it asks for anything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it asks for words alone, as for the name of somebody.
    pub fn is_words(&self) -> bool {
        *self == Self { phrases: self.phrases.clone(), ..Self::default() }
    }

    fn filter(&mut self, piece: &Piece<'_>, zone: &TimeZone) -> bool {
        let Some((key, value)) = piece.filter else { return false };
        match key.to_ascii_lowercase().as_str() {
            "from" => add(&mut self.from, value.trim_start_matches('@'), piece.open),
            "in" => add(&mut self.circles, value.trim_start_matches('#'), piece.open),
            "before" => days(value, zone).is_some_and(|(first, _)| self.until(first)),
            "after" => days(value, zone).is_some_and(|(first, _)| self.not_before(first)),
            "on" => days(value, zone).is_some_and(|(first, next)| self.not_before(first) && self.until(next)),
            _ => false,
        }
    }

    fn not_before(&mut self, at: UnixMs) -> bool {
        self.since = Some(self.since.map_or(at, |it| UnixMs(it.0.max(at.0))));
        true
    }

    fn until(&mut self, at: UnixMs) -> bool {
        self.before = Some(self.before.map_or(at, |it| UnixMs(it.0.min(at.0))));
        true
    }
}

/// A filter without its value is being typed, and filters nothing yet.
fn add(to: &mut Vec<Phrase>, value: &str, begins: bool) -> bool {
    if to.len() < PHRASES_MAX {
        to.extend(Phrase::of(value, begins));
    }
    true
}

/// A word or a quoted phrase of a query.
struct Piece<'a> {
    /// It without its quotes.
    whole: &'a str,
    /// If it is written as one: the filter and its value, without quotes.
    filter: Option<(&'a str, &'a str)>,
    /// It has no closing quote: a word, or a phrase that is being typed.
    open: bool,
}

/// The first piece, and what follows it.
fn piece(text: &str) -> (Piece<'_>, &str) {
    if let Some(quoted) = text.strip_prefix('"') {
        let (whole, rest, open) = quote(quoted);
        return (Piece { whole, filter: None, open }, rest);
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    if let Some((key, value)) = text[..end].split_once(':') {
        if value.starts_with('"') {
            let (value, rest, open) = quote(&text[key.len() + 2..]);
            return (Piece { whole: value, filter: Some((key, value)), open }, rest);
        }
        return (Piece { whole: &text[..end], filter: Some((key, value)), open: true }, &text[end..]);
    }
    (Piece { whole: &text[..end], filter: None, open: true }, &text[end..])
}

/// What stands before the closing quote, what after it, and whether there is none.
fn quote(text: &str) -> (&str, &str, bool) {
    match text.split_once('"') {
        Some((inside, rest)) => (inside, rest, false),
        None => (text, "", true),
    }
}

/// The first moment of a day, month or year, and of the next.
fn days(value: &str, zone: &TimeZone) -> Option<(UnixMs, UnixMs)> {
    let mut numbers = value.split('-');
    let year: i16 = numbers.next().filter(|it| it.len() == 4)?.parse().ok()?;
    let mut part = || match numbers.next() {
        None => Some(None),
        Some(number) => number.parse::<i8>().ok().map(Some),
    };
    let (month, day) = (part()?, part()?);
    if numbers.next().is_some() {
        return None;
    }
    let first = Date::new(year, month.unwrap_or(1), day.unwrap_or(1)).ok()?;
    let length = match (month, day) {
        (None, _) => Span::new().years(1),
        (_, None) => Span::new().months(1),
        (_, Some(_)) => Span::new().days(1),
    };
    let begin = |date: Date| {
        let moment = date.to_zoned_datetime(zone.clone()).ok()?.timestamp();
        Some(UnixMs(moment.as_millisecond()))
    };
    Some((begin(first)?, begin(first.checked_add(length).ok()?)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Query {
        Query::parse(text, &TimeZone::UTC)
    }

    fn phrase(text: &str, begins: bool) -> Phrase {
        Phrase { words: text.split(' ').map(str::to_owned).collect(), begins }
    }

    fn ms(day: &str) -> UnixMs {
        let date: Date = day.parse().expect("a date");
        UnixMs(date.to_zoned_datetime(TimeZone::UTC).expect("in range").timestamp().as_millisecond())
    }

    #[test]
    fn the_last_word_may_be_a_beginning() {
        assert_eq!(parse("Borrow check").phrases, [phrase("borrow", false), phrase("check", true)]);
        assert_eq!(parse("apt-get").phrases, [phrase("apt get", true)]);
        assert_eq!(parse(" check ").phrases, [phrase("check", true)]);
    }

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(parse("\"borrow checker\" e").phrases, [phrase("borrow checker", false), phrase("e", true)]);
        assert_eq!(parse("\"borrow checker\"").phrases, [phrase("borrow checker", false)]);
        assert_eq!(parse("\"borrow che").phrases, [phrase("borrow che", true)]);
    }

    #[test]
    fn filters_say_who_where_and_when() {
        let query = parse("from:@Ada in:\"#Study group\" after:2026-11-01 before:2026-12 pan");
        assert_eq!(query.from, [phrase("ada", true)]);
        assert_eq!(query.circles, [phrase("study group", false)]);
        assert_eq!((query.since, query.before), (Some(ms("2026-11-01")), Some(ms("2026-12-01"))));
        assert_eq!(query.phrases, [phrase("pan", true)]);
        let query = parse("on:2026-2-28");
        assert_eq!((query.since, query.before), (Some(ms("2026-02-28")), Some(ms("2026-03-01"))));
        let query = parse("on:2025");
        assert_eq!((query.since, query.before), (Some(ms("2025-01-01")), Some(ms("2026-01-01"))));
    }

    #[test]
    fn days_are_those_of_the_persons_zone() {
        let berlin = TimeZone::fixed(jiff::tz::offset(1));
        let query = Query::parse("on:2026-11-24", &berlin);
        assert_eq!(query.since.map(|it| it.0), Some(ms("2026-11-24").0 - 3_600_000));
    }

    #[test]
    fn what_is_no_filter_is_words() {
        assert_eq!(parse("on:fire").phrases, [phrase("on fire", true)]);
        assert_eq!(parse("before:2026-13-01").phrases, [phrase("before 2026 13 01", true)]);
        assert_eq!(parse("http://x.example").phrases, [phrase("http x example", true)]);
        assert_eq!(parse("from: in:").phrases, []);
        assert!(parse("from: in: ?! \"\"").is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_a_query(text in any::<String>()) {
            let query = parse(&text);
            prop_assert!(query.phrases.len() <= PHRASES_MAX);
            prop_assert!(query.phrases.iter().all(|it| !it.words.is_empty()));
        }

        #[test]
        fn any_mixture_of_syntax_is_a_query(
            text in r##"((from|in|on|before|after|AND|OR|NOT|NEAR)?[:"#@*^(){}+-]{0,3}(ada|2026-1[0-9]|"| |x){0,3}){0,8}"##,
        ) {
            prop_assert!(parse(&text).phrases.iter().all(|it| !it.words.is_empty()));
        }
    }
}
