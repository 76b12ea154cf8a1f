//! One normal form of a text, for the encoder, the n-grams and the score cache alike.
//!
//! The same rules in Python are in `models/text/train/ngrams.py`; golden scores hold both together.

use unicode_normalization::UnicodeNormalization;

/// Code points that are looked at; the rest of a post is cut.
pub const MAX_CHARS: usize = 2000;

/// Words of a text: NFKC, lower case, separated by white space and control characters; links and handles masked.
pub fn words(text: &str) -> Vec<String> {
    let cut: String = text.chars().take(MAX_CHARS).nfkc().collect();
    let separates = |c: char| c.is_whitespace() || c.is_control();
    cut.to_lowercase().split(separates).filter(|w| !w.is_empty()).map(mask).collect()
}

/// The words joined by single spaces.
pub fn normalise(text: &str) -> String {
    words(text).join(" ")
}

/// Links and handles become the two words that the training data has in their place.
fn mask(word: &str) -> String {
    if ["http://", "https://", "www."].iter().any(|p| word.starts_with(p)) {
        return "url".to_owned();
    }
    unhide(mask_handle(word))
}

fn mask_handle(word: &str) -> String {
    let handle = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match word.strip_prefix('@') {
        Some(rest) if rest.starts_with(handle) => format!("@user{}", rest.trim_start_matches(handle)),
        _ => word.to_owned(),
    }
}

/// The letter that a digit stands for in disguised words.
fn letter(c: char) -> Option<char> {
    const DISGUISES: [(char, char); 7] = [('0', 'o'), ('1', 'i'), ('3', 'e'), ('4', 'a'), ('5', 's'), ('7', 't'), ('$', 's')];
    DISGUISES.iter().find(|(d, _)| *d == c).map(|(_, l)| *l)
}

/// Digits that stand for letters, between two plain letters, become these letters: `w0man` is read as `woman`.
fn unhide(word: String) -> String {
    if !word.contains(|c| letter(c).is_some()) {
        return word;
    }
    let chars: Vec<char> = word.chars().collect();
    let mut out = String::with_capacity(word.len());
    for run in chars.chunk_by(|a, b| letter(*a).is_some() == letter(*b).is_some()) {
        // A run is inside `chars`, so its neighbours are found by the number of characters written so far.
        let (from, plain) = (out.chars().count(), |i: usize| chars.get(i).is_some_and(char::is_ascii_lowercase));
        let hidden = from > 0 && plain(from - 1) && plain(from + run.len());
        out.extend(run.iter().map(|c| letter(*c).filter(|_| hidden).unwrap_or(*c)));
    }
    out
}

/// Scripts that the n-gram weights tell apart: 0 is Latin and the rest, then Han, Hangul, Arabic, Cyrillic.
pub const SCRIPTS: usize = 5;

fn script_of(c: char) -> usize {
    match u32::from(c) {
        0x3400..=0x9FFF | 0xF900..=0xFAFF | 0x2_0000..=0x3_FFFF => 1,
        0x1100..=0x11FF | 0x3130..=0x318F | 0xAC00..=0xD7AF => 2,
        0x0600..=0x06FF | 0x0750..=0x077F | 0x08A0..=0x08FF | 0xFB50..=0xFDFF | 0xFE70..=0xFEFF => 3,
        0x0400..=0x052F => 4,
        _ => 0,
    }
}

/// The commonest script beyond Latin if it has at least half as many code points as the Latin letters; otherwise 0.
pub fn script(words: &[String]) -> usize {
    let (mut seen, mut latin) = ([0usize; SCRIPTS], 0);
    for c in words.iter().flat_map(|w| w.chars()) {
        seen[script_of(c)] += 1;
        latin += usize::from(matches!(c, 'a'..='z' | '\u{C0}'..='\u{24F}'));
    }
    let top = seen[1..].iter().copied().max().unwrap_or(0);
    let first = (1..SCRIPTS).find(|g| seen[*g] == top).unwrap_or(0);
    if top > 0 && 2 * top >= latin { first } else { 0 }
}

/// Share of the code points of `words` beyond the Latin blocks (U+0250 and up), 0 to 1: how far the encoder,
/// whose vocabulary is English, can be relied on.
pub fn foreign_share(words: &[String]) -> f32 {
    let all: usize = words.iter().map(|w| w.chars().count()).sum();
    let foreign: usize = words.iter().flat_map(|w| w.chars()).filter(|c| *c >= '\u{250}').count();
    if all == 0 { 0.0 } else { foreign as f32 / all as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_width_letters_and_case_fold_to_one_form() {
        assert_eq!(normalise("ＦＵＬＬ\u{3000}Width\t\u{1}x"), "full width x");
    }

    #[test]
    fn links_and_handles_are_masked_and_masking_twice_changes_nothing() {
        let once = normalise("Hi @Some_One, see https://example.org/a?b (URL) @user");
        assert_eq!(once, "hi @user, see url (url) @user");
        assert_eq!(normalise(&once), once);
    }

    #[test]
    fn digits_between_plain_letters_are_read_as_letters() {
        assert_eq!(normalise("W0man a$$et covid19 4r3 m3p 1d10t x20y"), "woman asset covid19 4r3 mep 1diot x20y");
    }

    #[test]
    fn the_script_is_the_commonest_one_that_is_not_outnumbered() {
        let of = |t: &str| script(&words(t));
        assert_eq!([of(""), of("plain été 12"), of("ok 天气"), of("오늘 ok"), of("الطقس"), of("погода")], [0, 0, 1, 2, 3, 4]);
        assert_eq!(of("a long sentence with 天"), 0);
    }

    #[test]
    fn the_foreign_share_counts_code_points_beyond_latin() {
        assert_eq!(foreign_share(&words("")), 0.0);
        assert_eq!(foreign_share(&words("été")), 0.0);
        assert_eq!(foreign_share(&words("ab 天气")), 0.5);
    }
}
