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
    use super::*;

    #[test]
    fn a_link_is_drawn_and_a_book_is_not() {
        let link =
            format!("circles://join?key={}&at=192.168.1.5%3A7081&name=Dorm&code={}", "A".repeat(52), "0".repeat(32));
        let drawn = draw(&link).unwrap();
        assert!(drawn.size >= 21 && drawn.path.starts_with("M0 0h1v1h-1z"), "a corner is dark");
        assert_eq!(draw(&"x".repeat(5_000)).unwrap_err().code, "invalid_parameter");
    }
}
