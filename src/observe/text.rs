//! HTML to plain text, and cutting at a character boundary.

use crate::domain::Post;

/// Plain text of an HTML fragment: tags go, entities become characters, block ends become line breaks,
/// scripts and styles disappear with their content, white space is folded. Never fails, never panics.
pub fn plain(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = head(html, 4 * Post::MAX_TEXT);
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        let tag = &rest[at + 1..];
        if !tag.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!') {
            out.push('<'); // a lone "less than" is text
            rest = tag;
            continue;
        }
        rest = after_tag(tag, &mut out);
    }
    out.push_str(rest);
    fold(&html_escape::decode_html_entities(&out))
}

/// The first `limit` bytes, cut at a character boundary.
fn head(text: &str, limit: usize) -> &str {
    let cut = (0..=limit.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    &text[..cut]
}

/// Skips one tag (with its content for script and style); writes a line break where the tag makes one.
fn after_tag<'a>(tag: &'a str, out: &mut String) -> &'a str {
    if let Some(comment) = tag.strip_prefix("!--") {
        return comment.find("-->").map_or("", |e| &comment[e + 3..]);
    }
    let Some(end) = tag.find('>') else { return "" };
    let name: String = tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let after = &tag[end + 1..];
    match name.as_str() {
        "script" | "style" if !tag.starts_with('/') => skip_to_close(after, &name),
        "br" | "p" | "div" | "li" | "tr" | "h1" | "h2" | "h3" | "h4" | "blockquote" => {
            out.push('\n');
            after
        }
        _ => after,
    }
}

fn skip_to_close<'a>(text: &'a str, name: &str) -> &'a str {
    let close = format!("</{name}");
    let lower = text.to_ascii_lowercase(); // ASCII only: byte positions stay the same
    let Some(at) = lower.find(&close) else { return "" };
    text[at..].find('>').map_or("", |e| &text[at + e + 1..])
}

/// Folds runs of blanks, keeps single line breaks, drops control characters and the edges.
fn fold(text: &str) -> String {
    let lines = text.lines().map(|l| l.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" "));
    lines.filter(|l| !l.is_empty()).collect::<Vec<_>>().join("\n")
}

/// At most [`Post::MAX_TEXT`] bytes, cut at a character boundary, without the NUL that no database takes.
pub fn bounded(mut text: String) -> String {
    text.retain(|c| c != '\0');
    let cut = head(&text, Post::MAX_TEXT).len();
    text.truncate(cut);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_go_and_block_ends_become_line_breaks() {
        assert_eq!(plain("<p>One &amp; <b>two</b></p><p>three<br/>four</p>"), "One & two\nthree\nfour");
    }

    #[test]
    fn scripts_styles_and_comments_disappear_with_their_content() {
        assert_eq!(plain("a<script>x<y>z</SCRIPT >b<style>p{}</style>c<!-- <p>no</p> -->d"), "abcd");
    }

    #[test]
    fn a_lone_less_than_is_text() {
        assert_eq!(plain("3 < 4 and 5 <6"), "3 < 4 and 5 <6");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let cut = bounded("ä".repeat(Post::MAX_TEXT));
        assert!(cut.len() <= Post::MAX_TEXT && cut.chars().all(|c| c == 'ä'));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]
        #[test]
        fn any_input_gives_text_without_a_panic(html in "(<|>|/|script|style|!--|-->|&amp;|p|br|[\\PC]){0,60}") {
            let text = plain(&html);
            proptest::prop_assert!(!text.contains('\0'));
        }
    }
}
