//! Cuts the bytes of a stream into whole events before the library sees them.
//!
//! The library would buffer an event without end, and some of what a broken relay or proxy can send ends its stream for
//! good or keeps it in a loop: an id with a control character, bytes that are not UTF-8, an event of unknown fields only
//! (measured against version 0.18.0). Here such an event becomes one that says so, under the id that it had, and the
//! stream goes on (design 3.9).

use bytes::Bytes;
use circles_protocol::limits::EVENT_BYTES_MAX;

/// The name of the event that stands for one that cannot be read. No relay sends it.
pub const UNREADABLE: &str = "circles-unreadable";

/// Longest line that is kept of an event that is thrown away: its id fits.
const SKIPPED_LINE_BYTES_MAX: usize = 256;

/// The fields that an event may have (HTML, section 9.2.6); a colon begins a comment.
const FIELDS: [&str; 5] = ["data", "event", "id", "retry", ""];

/// The events of one connection, as they come in.
#[derive(Default)]
pub struct Frames {
    /// The whole lines of the present event.
    event: Vec<u8>,
    /// The present line.
    line: Vec<u8>,
    /// Set while an event that is too large goes by.
    skipping: Option<Skipping>,
    /// The last byte was a carriage return: a line feed after it belongs to it.
    after_return: bool,
}

struct Skipping {
    bytes: usize,
    id: Option<String>,
}

impl Frames {
    /// The events that are whole with these bytes.
    pub fn push(&mut self, chunk: &[u8]) -> Bytes {
        let mut whole = Vec::new();
        for &byte in chunk {
            let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => self.end_line(&mut whole),
                _ => self.byte(byte),
            }
        }
        Bytes::from(whole)
    }

    fn byte(&mut self, byte: u8) {
        if let Some(skipping) = &mut self.skipping {
            skipping.bytes += 1;
            if self.line.len() <= SKIPPED_LINE_BYTES_MAX {
                self.line.push(byte);
            }
            return;
        }
        self.line.push(byte);
        let bytes = self.event.len() + self.line.len();
        if bytes > EVENT_BYTES_MAX {
            self.skipping = Some(Skipping { bytes, id: id(&String::from_utf8_lossy(&self.event)) });
            self.event = Vec::new();
            self.line = Vec::new();
        }
    }

    fn end_line(&mut self, whole: &mut Vec<u8>) {
        let ends = self.line.is_empty();
        match &mut self.skipping {
            Some(skipping) if ends => {
                let reason = format!("too large: {} bytes", skipping.bytes);
                unreadable(whole, skipping.id.as_deref(), &reason);
                self.skipping = None;
            }
            Some(skipping) => {
                if self.line.len() <= SKIPPED_LINE_BYTES_MAX {
                    skipping.id = id(&String::from_utf8_lossy(&self.line)).or(skipping.id.take());
                }
                self.line.clear();
            }
            None if ends => {
                event(whole, &self.event);
                self.event.clear();
            }
            None => {
                self.event.append(&mut self.line);
                self.event.push(b'\n');
            }
        }
    }
}

/// Hands on an event, or one that says why it cannot be read.
fn event(whole: &mut Vec<u8>, lines: &[u8]) {
    let Ok(text) = std::str::from_utf8(lines) else {
        let id = id(&String::from_utf8_lossy(lines));
        return unreadable(whole, id.as_deref(), "it is not UTF-8");
    };
    let known = |line: &&str| FIELDS.contains(&field(line));
    // An id with a control character is none.
    let sound = |line: &&str| field(line) != "id" || id(line).is_some();
    let mut kept = false;
    for line in text.lines().filter(known).filter(sound) {
        kept = true;
        whole.extend_from_slice(line.as_bytes());
        whole.push(b'\n');
    }
    if kept {
        whole.push(b'\n');
    }
}

fn unreadable(whole: &mut Vec<u8>, id: Option<&str>, reason: &str) {
    if let Some(id) = id {
        whole.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    whole.extend_from_slice(format!("event: {UNREADABLE}\ndata: {reason}\n\n").as_bytes());
}

fn field(line: &str) -> &str {
    line.split(':').next().unwrap_or(line)
}

/// The last id among some lines.
fn id(lines: &str) -> Option<String> {
    let id = lines.lines().rev().find_map(|line| line.strip_prefix("id:"))?;
    let id = id.strip_prefix(' ').unwrap_or(id);
    (!id.chars().any(char::is_control)).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(chunks: &[&[u8]]) -> String {
        let mut frames = Frames::default();
        let whole: Vec<u8> = chunks.iter().flat_map(|it| frames.push(it)).collect();
        String::from_utf8(whole).expect("only text comes out")
    }

    #[test]
    fn an_event_that_is_too_large_becomes_one_that_says_so_and_the_next_is_whole() {
        let large = vec![b'x'; EVENT_BYTES_MAX];
        let after = b"\nid: e.8\n\nid: e.9\nevent: ping\ndata: {}\n\n";
        let out = cut(&[b"event: change\ndata: ", &large, after]);
        let bytes = "event: change\ndata: ".len() + EVENT_BYTES_MAX + "id: e.8".len();
        assert_eq!(
            out,
            format!(
                "id: e.8\nevent: {UNREADABLE}\ndata: too large: {bytes} bytes\n\nid: e.9\nevent: ping\ndata: {{}}\n\n"
            )
        );
        let out = cut(&[b"id: e.8\ndata: ", &large, b"\n\n"]);
        assert!(out.starts_with("id: e.8\n"), "{out}");
    }

    #[test]
    fn what_would_end_or_loop_the_library_is_taken_out() {
        assert_eq!(cut(&[b"id: a\x07b\ndata: 1\n\n"]), "data: 1\n\n");
        assert_eq!(cut(&[b"what: 1\never\n\ndata: 2\n\n"]), "data: 2\n\n");
        assert_eq!(cut(&[b"\n\n\n: hello\n\n"]), ": hello\n\n");
        assert_eq!(
            cut(&[b"id: e.3\ndata: \xff\n\n"]),
            format!("id: e.3\nevent: {UNREADABLE}\ndata: it is not UTF-8\n\n")
        );
    }

    #[test]
    fn an_event_that_is_not_whole_is_kept_back() {
        assert_eq!(cut(&[b"data: 1\n\ndata: 2\n"]), "data: 1\n\n");
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_cut_the_events_are_the_same(
            lines in prop::collection::vec("(data|id|event): [a-z0-9é]{0,8}", 0..12),
            end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
            cuts in prop::collection::vec(0..300_usize, 0..20),
        ) {
            let sent = lines.iter().flat_map(|line| [line, end, end]).collect::<String>();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(sent.len())).chain([0, sent.len()]).collect();
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &sent.as_bytes()[pair[0]..pair[1]]).collect();
            let expected = lines.iter().flat_map(|line| [line, "\n\n"]).collect::<String>();
            prop_assert_eq!(cut(&chunks), expected);
        }

        #[test]
        fn any_bytes_become_text_of_bounded_events(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let mut frames = Frames::default();
            prop_assert!(std::str::from_utf8(&frames.push(&bytes)).is_ok());
        }
    }
}
