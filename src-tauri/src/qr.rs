//! QR codes of invite links, to be photographed from a screen.

use std::fmt::Write;

use circles_client::view::{Failure, QrView};
use fast_qr::{ECL, QRBuilder};

/// Draws a text. A screen is clean and bright: the least redundancy makes the largest squares.
pub fn draw(text: &str) -> Result<QrView, Failure> {
    let too_long = |error: fast_qr::qr::QRCodeError| Failure {
        code: "invalid_parameter".to_owned(),
        message: format!("no QR code holds this: {error:?}"),
    };
    let code = QRBuilder::new(text).ecl(ECL::L).build().map_err(too_long)?;
    let mut path = String::new();
    for y in 0..code.size {
        for x in (0..code.size).filter(|x| code[y][*x].value()) {
            write!(path, "M{x} {y}h1v1h-1z").expect("a String takes everything");
        }
    }
    Ok(QrView { size: u32::try_from(code.size).expect("a QR code has at most 177 squares a side"), path })
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use circles_protocol::{
        InviteLink, LanPlace,
        lan::{Fingerprint, PORT},
        limits::NAME_CHARS_MAX,
    };

    use super::*;

    /// Squares of a side that are four pixels wide in a dialog of 560, with the margin of four around them
    /// (`QrCode.svelte`).
    const SIZE_MAX: u32 = 560 / 4 - 2 * 4;

    /// An invite of a relay at these addresses.
    fn invite(addresses: &[&str], name: &str) -> InviteLink {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let addresses = addresses.iter().map(|it| SocketAddr::new(ip(it), PORT)).collect();
        let place = LanPlace { key: Fingerprint::of(b"key"), name: name.to_owned(), addresses };
        InviteLink::on_lan(place, "0123456789abcdef".repeat(2)).expect("a link")
    }

    #[test]
    fn a_link_is_drawn_and_a_book_is_not() {
        let drawn = draw(&invite(&["192.168.1.5"], "Third floor").to_string()).unwrap();
        assert!(drawn.size >= 21 && drawn.path.starts_with("M0 0h1v1h-1z"), "a corner is dark");
        assert_eq!(draw(&"x".repeat(5_000)).unwrap_err().code, "invalid_parameter");
    }

    #[test]
    fn the_longest_invite_keeps_its_squares_large() {
        let ipv6: Vec<String> = (1..=3).map(|it| format!("fd12:3456:789a:{it}:1234:5678:9abc:def0")).collect();
        let ipv4 = ["192.168.100.101", "192.168.100.102", "192.168.100.103", "192.168.100.104", "192.168.100.105"];
        let addresses: Vec<&str> = ipv4.into_iter().chain(ipv6.iter().map(String::as_str)).collect();
        let drawn = draw(&invite(&addresses, &"🦀".repeat(NAME_CHARS_MAX)).to_string()).unwrap();
        assert!(drawn.size <= SIZE_MAX, "{}", drawn.size);
    }
}
