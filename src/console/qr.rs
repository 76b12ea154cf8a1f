//! The QR code that opens the page with the PIN filled in. The PIN stays behind `#`: no browser sends that part to anybody.

use qrcode::{Color, EcLevel, QrCode};

/// Light modules around the code: four are asked for, two are enough for every reader that was tried.
const QUIET: usize = 2;

/// Half blocks, two rows of modules a line; what is light is drawn, so that it is right on a dark screen. None where it cannot be made.
pub fn lines(address: &str, pin: &str) -> Option<Vec<String>> {
    let code = QrCode::with_error_correction_level(format!("{address}/unlock#{pin}"), EcLevel::L).ok()?;
    let (width, modules) = (code.width(), code.to_colors());
    let side = width + 2 * QUIET;
    let light = |x: usize, y: usize| {
        let inside = |n: usize| (QUIET..QUIET + width).contains(&n);
        y < side && (!inside(x) || !inside(y) || modules[(y - QUIET) * width + x - QUIET] == Color::Light)
    };
    let glyph = |x, y| match (light(x, y), light(x, y + 1)) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    };
    Some((0..side).step_by(2).map(|y| (0..side).map(|x| glyph(x, y)).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_says_what_it_should_and_fits_beside_the_text() {
        let drawn = lines("https://192.168.100.117:8443", "K7M2-9QXD").unwrap();
        assert!(drawn.len() <= 18 && drawn.iter().all(|l| l.chars().count() == 33), "{}\n{}", drawn.len(), drawn.join("\n"));
        // Three corners have the mark by which a reader finds the code.
        assert!(drawn[1].starts_with("██ ▄▄▄▄▄ █") && drawn[1].ends_with("█ ▄▄▄▄▄ ██"), "{}", drawn.join("\n"));
    }
}
