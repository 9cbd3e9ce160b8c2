//! The bytes of events (WHATWG HTML, 9.2.5). Order of the fields: event, id, data.

use bytes::{BufMut, Bytes, BytesMut};
use circles_protocol::{Change, Cursor, Epoch, event::EventName};
use serde::Serialize;

/// The first bytes of a stream: a browser comes back after half a second.
pub const RETRY: &[u8] = b"retry: 500\n\n";

/// An event of one data line; JSON has no line breaks outside of its escapes.
pub fn event(name: EventName, id: &Cursor, data: &impl Serialize) -> Bytes {
    let mut frame = BytesMut::with_capacity(512);
    frame.put_slice(format!("event: {}\nid: {id}\ndata: ", name.as_str()).as_bytes());
    let mut frame = frame.writer();
    serde_json::to_writer(&mut frame, data).expect("the types of the wire serialise, and memory does not fail");
    let mut frame = frame.into_inner();
    frame.put_slice(b"\n\n");
    frame.freeze()
}

/// An event that is not of the log: without an id, so that a reader's cursor stays where it is.
pub fn passing(name: EventName, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).expect("the types of the wire serialise");
    format!("event: {}\ndata: {data}\n\n", name.as_str()).into()
}

/// A change, with its own position as the cursor.
pub fn change(epoch: &Epoch, change: &Change) -> Bytes {
    event(EventName::Change, &Cursor { epoch: epoch.clone(), pos: change.pos }, change)
}

/// Frames one after the other: one write instead of many.
pub fn joined(frames: &[Bytes]) -> Bytes {
    match frames {
        [one] => one.clone(),
        many => many.concat().into(),
    }
}
