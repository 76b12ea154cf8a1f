//! One classified post as the list shows it: masked unless the session has revealed it.

use crate::domain::Analysis;
use crate::setup::mask::{Masked, masked, visible};
use crate::setup::words::{When, when};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// A probability and the length of its bar in hundredths.
#[derive(Serialize)]
struct Score {
    label: &'static str,
    value: String,
    width: u32,
}

/// What only a revealed post has.
#[derive(Serialize)]
struct Revealed {
    text: String,
    author: Option<String>,
    /// Only `http` and `https` addresses.
    url: Option<String>,
    model: String,
}

/// One post of the list. `open` is `None` while it is masked: then nothing here holds its text.
#[derive(Serialize)]
pub struct PostView {
    /// Names the post; a form sends it back.
    reference: String,
    /// Name for the `id` attribute.
    pub anchor: String,
    platform: String,
    lang: Option<String>,
    published: When,
    label: &'static str,
    scores: Vec<Score>,
    masked: Masked,
    open: Option<Revealed>,
}

/// The view of a post, revealed or not.
pub fn post(analysis: &Analysis, revealed: bool, now: DateTime<Utc>) -> PostView {
    let post = &analysis.post;
    let s = analysis.scores;
    let score = |label, p: f32| Score { label, value: format!("{p:.2}"), width: (p.clamp(0.0, 1.0) * 100.0).round() as u32 };
    let open = revealed.then(|| Revealed {
        text: visible(&post.text),
        author: post.author.as_deref().map(short),
        url: post.url.clone().filter(|u| is_web(u)),
        model: short(&analysis.model),
    });
    PostView {
        reference: post.reference().to_string(),
        anchor: format!("post-{}", &hex::encode(Sha256::digest(post.key().as_bytes()))[..16]),
        platform: short(&post.platform),
        lang: post.lang.as_deref().map(short),
        published: when(post.published_at, now),
        label: analysis.label.as_str(),
        scores: vec![score("none", s.none), score("offensive", s.offensive), score("hate", s.hate)],
        masked: masked(&post.text),
        open,
    }
}

/// Fields that a platform fills are as untrusted as the text.
fn short(field: &str) -> String {
    visible(&field.chars().take(120).collect::<String>())
}

fn is_web(address: &str) -> bool {
    address.len() <= 2048 && url::Url::parse(address).is_ok_and(|u| matches!(u.scheme(), "http" | "https"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::sample;

    #[test]
    fn a_masked_post_holds_no_text_and_a_revealed_one_does() {
        let mut analysis = sample::post("1", "a wholly ordinary sentence");
        analysis.post.author = Some("someone-particular".into());
        let now = analysis.post.published_at;
        let closed = serde_json::to_string(&post(&analysis, false, now)).expect("JSON");
        assert!(!closed.contains("ordinary") && !closed.contains("particular"));
        let open = serde_json::to_string(&post(&analysis, true, now)).expect("JSON");
        assert!(open.contains("a wholly ordinary sentence"));
    }

    #[test]
    fn only_web_addresses_become_links() {
        for bad in ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", " javascript:x", "//x"] {
            assert!(!is_web(bad), "{bad}");
        }
        assert!(is_web("https://social.example/@a/1"));
    }
}
