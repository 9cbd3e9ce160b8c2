//! A stream as the client reads it: bytes of an HTTP response, cut anywhere, through our own cutter and
//! eventsource-client.

use bytes::Bytes;
use circles_client::fuzzing;
use circles_protocol::limits::EVENT_BYTES_MAX;
use tokio::runtime::Runtime;

/// However the bytes are cut into pieces, the same events come of them; each is bounded; and the reader comes to the end of
/// the stream. The first bytes say where to cut.
pub fn check(bytes: &[u8]) {
    let Some((cuts, body)) = bytes.split_at_checked(4) else { return };
    let runtime = Runtime::new().expect("a runtime");
    let whole = runtime.block_on(fuzzing::events(vec![Bytes::copy_from_slice(body)]));
    for event in &whole {
        // What stands for an event that was too large names its id, and is small.
        assert!(event.data.len() <= EVENT_BYTES_MAX, "{} bytes", event.data.len());
        assert!(event.id.as_ref().is_none_or(|it| !it.chars().any(char::is_control)), "{:?}", event.id);
    }
    let pieces = pieces(body, cuts);
    let cut = runtime.block_on(fuzzing::events(pieces));
    assert_eq!(whole, cut, "the same bytes, cut elsewhere");
}

fn pieces(body: &[u8], cuts: &[u8]) -> Vec<Bytes> {
    let (mut rest, mut pieces) = (body, Vec::new());
    for cut in cuts.iter().map(|it| usize::from(*it)).cycle().take(body.len().min(64)) {
        let (piece, next) = rest.split_at(cut.min(rest.len()));
        pieces.push(Bytes::copy_from_slice(piece));
        rest = next;
    }
    pieces.push(Bytes::copy_from_slice(rest));
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn a_stream_reads_the_same_however_it_is_cut(
            cuts in any::<[u8; 4]>(),
            lines in prop::collection::vec(
                prop_oneof![
                    Just("event: change".as_bytes().to_vec()),
                    Just("id: e.7".as_bytes().to_vec()),
                    Just("data: {\"pos\":7}".as_bytes().to_vec()),
                    Just(Vec::new()),
                    "(event|data|id|retry|:|what)(: ?|)[ -~é\u{0}]{0,20}".prop_map(String::into_bytes),
                    prop::collection::vec(any::<u8>(), 0..30),
                ],
                0..30,
            ),
            end in prop::sample::select(vec![&b"\n"[..], b"\r\n", b"\r"]),
        ) {
            let body: Vec<u8> = lines.iter().flat_map(|it| [&it[..], end].concat()).collect();
            super::check(&[&cuts[..], &body].concat());
        }
    }
}
