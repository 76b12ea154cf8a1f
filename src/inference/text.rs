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
    let handle = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match word.strip_prefix('@') {
        Some(rest) if rest.starts_with(handle) => format!("@user{}", rest.trim_start_matches(handle)),
        _ => word.to_owned(),
    }
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
    fn the_foreign_share_counts_code_points_beyond_latin() {
        assert_eq!(foreign_share(&words("")), 0.0);
        assert_eq!(foreign_share(&words("été")), 0.0);
        assert_eq!(foreign_share(&words("ab 天气")), 0.5);
    }
}
