//! Filling a campus from lines of JSON: `{"circle","n","at","from","text","reply_to"}`.

use std::io::{self, BufRead, Read};

use circles_protocol::{UnixMs, api};
use serde::Deserialize;

use crate::{
    failure::Failure,
    limits::{IMPORT_BATCH_LINES, IMPORT_LINE_BYTES_MAX, IMPORT_REPORTED_MAX},
    relay::Relay,
    write::import::{self as rules, Line},
};

/// How far an import is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportProgress {
    /// Lines read.
    pub lines: u64,
    /// Messages that were stored by this import.
    pub imported: u64,
    /// Messages that were there already, from an earlier run.
    pub present: u64,
    /// Lines that were skipped because they are not valid.
    pub invalid: u64,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// The counts.
    pub total: ImportProgress,
    /// The first invalid lines, at most 20: line number from 1, and what is wrong.
    pub skipped: Vec<(u64, String)>,
}

/// Why an import stopped. What it stored before stays; run again, it goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The lines cannot be read.
    #[error("cannot read the lines: {0}")]
    Read(#[from] io::Error),
    /// The relay refused to store them.
    #[error("cannot store the messages: {0}")]
    Store(#[from] Failure),
}

/// A line as it stands in the file.
#[derive(Deserialize)]
struct Written {
    circle: String,
    n: u64,
    at: jiff::Timestamp,
    from: String,
    text: String,
    #[serde(default)]
    reply_to: Option<u64>,
}

/// Stores the lines of a reader, a thousand in a transaction. A line that was stored before is not stored again, so that
/// an import may be stopped at any moment and repeated. Invalid lines are skipped and reported.
///
/// Ids are `UUIDv8` of the circle's name, the person's nickname, and the circle with the line's `n`.
pub async fn import(
    relay: &Relay,
    mut reader: impl BufRead,
    mut progress: impl FnMut(&ImportProgress),
) -> Result<ImportReport, ImportError> {
    let mut report = ImportReport::default();
    let mut at_end = false;
    while !at_end {
        let mut batch = Vec::with_capacity(IMPORT_BATCH_LINES);
        while batch.len() < IMPORT_BATCH_LINES {
            let Some(line) = read_line(&mut reader)? else {
                at_end = true;
                break;
            };
            report.total.lines += 1;
            match line.and_then(|it| parse(&it)) {
                Ok(Some(line)) => batch.push(line),
                Ok(None) => {}
                Err(wrong) => {
                    report.total.invalid += 1;
                    if report.skipped.len() < IMPORT_REPORTED_MAX {
                        report.skipped.push((report.total.lines, wrong));
                    }
                }
            }
        }
        let stored = relay.writer().run(move |tx| rules::store(tx, &batch)).await?;
        report.total.imported += stored.imported;
        report.total.present += stored.present;
        progress(&report.total);
    }
    Ok(report)
}

/// The next line without its end, or what is wrong with it; none at the end of the file.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<Result<Vec<u8>, String>>> {
    let mut line = Vec::new();
    let max = IMPORT_LINE_BYTES_MAX as u64 + 1;
    if reader.by_ref().take(max).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Some(Ok(line)));
    }
    if line.len() <= IMPORT_LINE_BYTES_MAX {
        return Ok(Some(Ok(line)));
    }
    reader.skip_until(b'\n')?;
    Ok(Some(Err(format!("is longer than {IMPORT_LINE_BYTES_MAX} bytes"))))
}

/// A line that is checked; none if it is blank.
fn parse(line: &[u8]) -> Result<Option<Line>, String> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let it: Written = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    api::valid_name(&it.circle, &()).map_err(|error| format!("circle {error}"))?;
    api::valid_name(&it.from, &()).map_err(|error| format!("from {error}"))?;
    api::valid_text(&it.text, &()).map_err(|error| format!("text {error}"))?;
    Ok(Some(Line {
        circle: it.circle,
        n: it.n,
        at: UnixMs(it.at.as_millisecond()),
        from: it.from,
        text: it.text,
        reply_to: it.reply_to,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_skipped_up_to_its_end() {
        let text = format!("a\n{}\nb", "x".repeat(IMPORT_LINE_BYTES_MAX + 5_000));
        let mut reader = text.as_bytes();
        let mut lines = Vec::new();
        while let Some(line) = read_line(&mut reader).unwrap() {
            lines.push(line.is_ok());
        }
        assert_eq!(lines, [true, false, true]);
    }
}
