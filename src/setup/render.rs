//! Templates and files of `web/`, carried in the binary. Names that end in `.html` are escaped by default.

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use minijinja::value::Kwargs;
use minijinja::{Environment, HtmlEscape, UndefinedBehavior, Value, context};
use sha2::{Digest, Sha256};
use std::sync::{PoisonError, RwLock};

const TEMPLATES: &[(&str, &str)] = &[
    ("base.html", include_str!("../../web/base.html")),
    ("macros.html", include_str!("../../web/macros.html")),
    ("unlock.html", include_str!("../../web/unlock.html")),
    ("preparing.html", include_str!("../../web/preparing.html")),
    ("steps.html", include_str!("../../web/steps.html")),
    ("home.html", include_str!("../../web/home.html")),
    ("live.html", include_str!("../../web/live.html")),
    ("post.html", include_str!("../../web/post.html")),
    ("components.html", include_str!("../../web/components.html")),
    ("log.html", include_str!("../../web/log.html")),
    ("log-page.html", include_str!("../../web/log-page.html")),
    ("enroll.html", include_str!("../../web/enroll.html")),
    ("owner.html", include_str!("../../web/owner.html")),
    ("login.html", include_str!("../../web/login.html")),
    ("recover.html", include_str!("../../web/recover.html")),
    ("account.html", include_str!("../../web/account.html")),
    ("codes.html", include_str!("../../web/codes.html")),
    ("support.html", include_str!("../../web/support.html")),
    ("users.html", include_str!("../../web/users.html")),
    ("check.html", include_str!("../../web/check.html")),
    ("problem.html", include_str!("../../web/problem.html")),
    ("setup-base.html", include_str!("../../web/setup/base.html")),
    ("setup-welcome.html", include_str!("../../web/setup/welcome.html")),
    ("setup-check.html", include_str!("../../web/setup/check.html")),
    ("setup-checks.html", include_str!("../../web/setup/checks.html")),
    ("setup-network.html", include_str!("../../web/setup/network.html")),
    ("setup-enroll.html", include_str!("../../web/setup/enroll.html")),
    ("setup-sources.html", include_str!("../../web/setup/sources.html")),
    ("setup-review.html", include_str!("../../web/setup/review.html")),
    ("setup-install.html", include_str!("../../web/setup/install.html")),
    ("setup-steps.html", include_str!("../../web/setup/steps.html")),
    ("setup-done.html", include_str!("../../web/setup/done.html")),
    ("setup-posts.html", include_str!("../../web/setup/posts.html")),
    ("setup-macros.html", include_str!("../../web/setup/macros.html")),
];

/// Name, type and content of what the pages link to.
const ASSETS: &[(&str, &str, &str)] = &[
    ("page.css", "text/css; charset=utf-8", include_str!("../../web/page.css")),
    ("page.js", "text/javascript; charset=utf-8", include_str!("../../web/page.js")),
    ("icon.svg", "image/svg+xml", include_str!("../../web/icon.svg")),
];

/// The templates, ready to be filled.
pub struct Pages {
    environment: Environment<'static>,
    fingerprint: RwLock<String>,
    site: RwLock<String>,
}

impl Pages {
    /// Reads all templates; a broken one is a fault of the build, found by the tests.
    pub fn new(node: &str, fingerprint: &str) -> Result<Pages, minijinja::Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        for (name, text) in TEMPLATES {
            environment.add_template(name, text)?;
        }
        environment.add_filter("in_query", |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>());
        environment.add_filter("commands", |text: &str| Value::from_safe_string(commands(text)));
        environment.add_filter("fill", fill);
        environment.add_global("version", env!("CARGO_PKG_VERSION"));
        environment.add_global("node_name", node);
        environment.add_global("assets", assets_hash());
        Ok(Pages { environment, fingerprint: RwLock::new(fingerprint.to_owned()), site: RwLock::default() })
    }

    /// The certificate was renewed: pages show the new fingerprint.
    pub fn set_fingerprint(&self, fingerprint: &str) {
        fingerprint.clone_into(&mut self.fingerprint.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// The owner has named the site; an empty name shows the node's.
    pub fn set_site(&self, site: String) {
        *self.site.write().unwrap_or_else(PoisonError::into_inner) = site;
    }

    /// A template filled with `context`.
    pub fn text(&self, name: &str, values: Value) -> String {
        let fingerprint = self.fingerprint.read().unwrap_or_else(PoisonError::into_inner).clone();
        // Strict templates: a page that nobody has come in to says so by having no `me`.
        let site = self.site.read().unwrap_or_else(PoisonError::into_inner).clone();
        let context = context! { ..context! { fingerprint, site }, ..values, ..context! { me => () } };
        self.environment.get_template(name).and_then(|t| t.render(context)).unwrap_or_else(|error| {
            tracing::error!(template = name, error = format!("{error:#}"), "a page cannot be shown");
            "<p>PAG-500: this part of the page cannot be shown. Why: a fault in its template. Next: report it with the version below.</p>".to_owned()
        })
    }

    /// A whole page.
    pub fn page(&self, name: &str, context: Value) -> Response {
        Html(self.text(name, context)).into_response()
    }
}

/// Fills the places of a sentence: `"{n} steps"|fill(n=3)`. What is filled in is escaped with the rest.
fn fill(text: String, values: Kwargs) -> Result<String, minijinja::Error> {
    let mut filled = text;
    for name in values.args().map(str::to_owned).collect::<Vec<_>>() {
        filled = filled.replace(&format!("{{{name}}}"), &values.get::<Value>(&name)?.to_string());
    }
    Ok(filled)
}

/// The templates of the setup screens, whose words come from the catalogues.
#[cfg(test)]
pub fn setup_templates() -> impl Iterator<Item = (&'static str, &'static str)> {
    TEMPLATES.iter().copied().filter(|(name, _)| name.starts_with("setup-"))
}

/// Escapes a problem's text and sets what stands between backticks, a command or a path, as code.
fn commands(text: &str) -> String {
    let parts: Vec<String> = text.split('`').map(|part| HtmlEscape(part).to_string()).collect();
    let paired = parts.len() % 2 == 1;
    let set = |(at, part): (usize, &String)| if paired && at % 2 == 1 { format!("<code>{part}</code>") } else { part.clone() };
    parts.iter().enumerate().map(set).collect::<Vec<_>>().join(if paired { "" } else { "`" })
}

/// Changes whenever a linked file changes, so that browsers may keep what they have.
fn assets_hash() -> String {
    let mut sum = Sha256::new();
    ASSETS.iter().for_each(|(_, _, content)| sum.update(content));
    hex::encode(&sum.finalize()[..6])
}

/// A linked file, kept by browsers for ever: its address holds its hash.
pub fn asset(name: &str) -> Response {
    let Some((_, kind, content)) = ASSETS.iter().find(|(n, _, _)| *n == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers: [(HeaderName, &str); 2] = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, *content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_read_and_nothing_in_web_is_inline_or_from_elsewhere() {
        Pages::new("sample", "9C:41").expect("templates");
        for (name, text) in TEMPLATES {
            for banned in ["style=", "<style", "onclick", "onload", "javascript:", "|safe", "http://", "https://", "autoescape"] {
                assert!(!text.contains(banned), "{name} holds {banned}");
            }
            assert!(text.matches("<script").count() == text.matches("<script src=\"/assets/").count(), "{name} holds an inline script");
        }
        for (name, _, text) in ASSETS {
            assert!(!text.contains("//cdn") && !text.replace("http://www.w3.org/2000/svg", "").contains("http"), "{name} names another place");
        }
    }

    #[test]
    fn commands_in_a_problem_are_set_as_code_and_all_of_it_is_escaped() {
        assert_eq!(commands("run `a <b>` now"), "run <code>a &lt;b&gt;</code> now");
        assert_eq!(commands("odd ` <i>"), "odd ` &lt;i&gt;");
    }

    #[test]
    fn all_that_a_browser_gets_is_small() {
        let all: usize = TEMPLATES.iter().map(|(_, t)| t.len()).chain(ASSETS.iter().map(|(_, _, t)| t.len())).sum();
        assert!(all < 100 * 1024, "{all} bytes before any compression");
    }
}
