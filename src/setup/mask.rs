//! How a post's text is shown: dotted until someone asks for it, and then with nothing in it that could mislead.

use serde::Serialize;

/// Words and dots that a masked text shows at most.
const WORDS: usize = 40;
const DOTS: usize = 12;
/// Characters of a revealed text that are shown at most.
const SHOWN: usize = 4000;
/// Combining marks in a row that are kept.
const MARKS: usize = 4;

/// A text without its words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Masked {
    /// Dots in place of the words.
    pub dots: String,
    /// How many words there are in all.
    pub words: usize,
    /// How many of them are not even shown as dots.
    pub more: usize,
}

/// Puts dots in place of every character of every word; only the words' rough lengths remain.
pub fn masked(text: &str) -> Masked {
    let words = text.split_whitespace().count();
    let dotted = |word: &str| "\u{2022}".repeat(word.chars().take(DOTS).count());
    let dots: Vec<String> = text.split_whitespace().take(WORDS).map(dotted).collect();
    Masked { dots: dots.join(" "), words, more: words.saturating_sub(WORDS) }
}

/// A text as it may be shown: controls, direction overrides and invisible characters become visible marks,
/// piles of combining marks are cut, and so is what is very long. Escaping for HTML is the template's.
pub fn visible(text: &str) -> String {
    let mut shown = String::new();
    let mut marks = 0;
    for (count, c) in text.chars().enumerate() {
        if count >= SHOWN {
            shown.push_str(" [cut]");
            break;
        }
        marks = if is_mark(c) { marks + 1 } else { 0 };
        if marks > MARKS {
            continue;
        }
        match c {
            '\n' | '\t' => shown.push(c),
            c if is_hidden(c) => shown.push_str(&format!("[U+{:04X}]", u32::from(c))),
            c => shown.push(c),
        }
    }
    shown
}

/// Characters that move, hide or command others.
fn is_hidden(c: char) -> bool {
    let code = u32::from(c);
    // U+200C and U+200D join letters in several scripts and in emoji; they stay.
    let direction = matches!(code, 0x200e | 0x200f | 0x061c | 0x202a..=0x202e | 0x2066..=0x2069);
    let blank = matches!(code, 0x00ad | 0x034f | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180e | 0x200b | 0x2028 | 0x2029 | 0x2060..=0x2064 | 0x3164 | 0xfeff | 0xffa0);
    let unseen = matches!(code, 0xfff9..=0xfffb | 0xe0000..=0xe0fff | 0xe000..=0xf8ff | 0xf0000..=0x10ffff);
    c.is_control() || direction || blank || unseen
}

fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_of_a_word_survives_masking() {
        let masked = masked("A quiet example, with 3 words more.");
        assert_eq!(masked.words, 7);
        assert!(masked.dots.chars().all(|c| c == '\u{2022}' || c == ' '));
    }

    #[test]
    fn long_texts_and_long_words_are_cut_when_masked() {
        let words = "ab ".repeat(100);
        assert_eq!(masked(&words).more, 60);
        assert_eq!(masked(&"a".repeat(1_000_000)).dots.chars().count(), DOTS);
        assert_eq!(masked(""), Masked { dots: String::new(), words: 0, more: 0 });
    }

    #[test]
    fn direction_overrides_and_invisible_characters_become_visible() {
        assert_eq!(visible("a\u{202e}b\u{200b}c\u{7}"), "a[U+202E]b[U+200B]c[U+0007]");
        assert_eq!(visible("two\nlines"), "two\nlines");
    }

    #[test]
    fn piles_of_marks_and_very_long_texts_are_cut() {
        let pile = format!("e{}", "\u{301}".repeat(1_000_000));
        assert!(visible(&pile).len() < 20 * MARKS);
        assert!(visible(&"x".repeat(1_000_000)).len() < SHOWN + 10);
    }
}
