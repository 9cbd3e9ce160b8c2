//! What of a message is shown in a list of results: the place where it was found, with what was found marked.

use std::ops::Range;

use super::{
    query::Phrase,
    words::{Word, words},
};
use crate::view::SnippetPart;

/// Characters shown before what was found, and in all: two lines of a list.
const BEFORE_CHARS: usize = 48;
const SNIPPET_CHARS: usize = 200;

/// The part of a text where the phrases stand; none if one of them does not.
pub fn snippet(text: &str, phrases: &[Phrase]) -> Option<Vec<SnippetPart>> {
    let words = words(text);
    let hits = hits(&words, phrases)?;
    let first = hits.first().map_or(0, |it| it.start);
    let (from, to) = (back(text, first), forward(text, first));
    let mut parts = Parts::default();
    if from > 0 {
        parts.push("… ", false);
    }
    let mut reached = from;
    for hit in hits {
        // What is only half inside is not marked half.
        if hit.end > to {
            break;
        }
        parts.push(&text[reached..hit.start], false);
        parts.push(&text[hit.clone()], true);
        reached = hit.end;
    }
    parts.push(&text[reached..to], false);
    if to < text.len() {
        parts.push(" …", false);
    }
    Some(parts.done)
}

/// Where the phrases stand, ascending and disjoint; none if one of them stands nowhere.
fn hits(words: &[Word], phrases: &[Phrase]) -> Option<Vec<Range<usize>>> {
    let mut hits: Vec<Range<usize>> = Vec::new();
    for phrase in phrases {
        let before = hits.len();
        for from in 0..words.len() {
            if phrase.stands_at(words, from) {
                hits.push(words[from].at.start..words[from + phrase.words.len() - 1].at.end);
            }
        }
        if hits.len() == before {
            return None;
        }
    }
    hits.sort_by_key(|it| (it.start, it.end));
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(hits.len());
    for hit in hits {
        match joined.last_mut() {
            Some(last) if hit.start < last.end => last.end = last.end.max(hit.end),
            _ => joined.push(hit),
        }
    }
    Some(joined)
}

/// Some characters before a place, from the beginning of a word if there is one.
fn back(text: &str, at: usize) -> usize {
    let Some((from, _)) = text[..at].char_indices().rev().nth(BEFORE_CHARS - 1) else { return 0 };
    text[from..at].find(char::is_whitespace).map_or(from, |space| from + space + 1).min(at)
}

fn forward(text: &str, at: usize) -> usize {
    text[at..].char_indices().nth(SNIPPET_CHARS - BEFORE_CHARS).map_or(text.len(), |(to, _)| at + to)
}

/// Parts on one line: spaces and line ends between words become one space.
#[derive(Default)]
struct Parts {
    done: Vec<SnippetPart>,
}

impl Parts {
    fn push(&mut self, text: &str, hit: bool) {
        let mut spaced = self.done.last().is_none_or(|it| it.text.ends_with(' '));
        let mut line = String::with_capacity(text.len());
        for char in text.chars() {
            let char = if char.is_whitespace() { ' ' } else { char };
            if char != ' ' || !spaced {
                line.push(char);
            }
            spaced = char == ' ';
        }
        if line.is_empty() {
            return;
        }
        match self.done.last_mut() {
            Some(last) if last.hit == hit => last.text.push_str(&line),
            _ => self.done.push(SnippetPart { text: line, hit }),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;
    use crate::search::query::Query;

    fn shown(text: &str, query: &str) -> Option<String> {
        let parts = snippet(text, &Query::parse(query, &TimeZone::UTC).phrases)?;
        Some(parts.iter().map(|it| if it.hit { format!("[{}]", it.text) } else { it.text.clone() }).collect())
    }

    #[test]
    fn what_was_found_is_marked_as_it_was_written() {
        assert_eq!(shown("The Café\n  is open, cafés too", "cafe").as_deref(), Some("The [Café] is open, [cafés] too"));
        assert_eq!(shown("the cafe too, cafe", "cafe too").as_deref(), Some("the [cafe] [too], [cafe]"));
        assert_eq!(shown("我在图书馆等你", "图书").as_deref(), Some("我在[图书]馆等你"));
        assert_eq!(shown("a cat", "dog"), None);
        assert_eq!(shown("all of it", "").as_deref(), Some("all of it"));
    }

    #[test]
    fn a_long_text_is_shown_where_it_was_found() {
        let text = format!("{} needle {}", "hay ".repeat(400), "stack ".repeat(400));
        let shown = shown(&text, "needle").expect("it is there");
        assert!(shown.starts_with("… hay") && shown.ends_with('…') && shown.contains("[needle] stack"), "{shown}");
        assert!(shown.chars().count() < SNIPPET_CHARS + 8, "{shown}");
    }

    proptest! {
        #[test]
        fn a_snippet_is_short_and_marks_something(text in "[ab é图\n]{0,400}", query in "[ab é图]{1,3}") {
            if let Some(parts) = snippet(&text, &Query::parse(&query, &TimeZone::UTC).phrases) {
                prop_assert!(parts.iter().map(|it| it.text.chars().count()).sum::<usize>() <= SNIPPET_CHARS + 4);
                prop_assert!(parts.windows(2).all(|pair| pair[0].hit != pair[1].hit));
            }
        }
    }
}
