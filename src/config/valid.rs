//! Checked settings: what stands here can be rendered and run.

use super::place::{Between, Stack};
use super::settings::{Network, Settings, Storage};
use crate::status::Problem;
use std::collections::BTreeSet;
use std::path::Path;
use url::Url;

/// Settings that passed every check; hashtags carry no `#`, language tags are in lower case.
#[derive(Clone, Debug, PartialEq)]
pub struct Valid(Settings);

impl std::ops::Deref for Valid {
    type Target = Settings;
    fn deref(&self) -> &Settings {
        &self.0
    }
}

impl Default for Valid {
    fn default() -> Self {
        Valid(Settings::default())
    }
}

/// Reads `settings.toml`; a missing file is the defaults.
pub fn load(path: &Path) -> Result<Valid, Problem> {
    match std::fs::read_to_string(path) {
        Ok(text) => Valid::parse(&text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Valid::default()),
        Err(e) => Err(Problem::new(
            "CFG-100",
            format!("{} cannot be read", path.display()),
            e.to_string(),
            "Check that the file is UTF-8 text and that this user may read it.",
        )),
    }
}

/// The text of a settings file with these settings.
pub fn save_text(settings: &Settings) -> String {
    toml::to_string(settings).expect("settings hold only what TOML can say")
}

impl Valid {
    /// Reads and checks the text of a settings file.
    pub fn parse(text: &str) -> Result<Valid, Problem> {
        let settings: Settings = toml::from_str(text).map_err(|e| {
            let line = e.span().map(|s| text[..s.start.min(text.len())].matches('\n').count() + 1);
            let place = line.map(|l| format!(" at line {l}")).unwrap_or_default();
            Problem::new("CFG-101", format!("settings.toml is not understood{place}"), e.message(), "Correct that line, or remove it to take the default.")
        })?;
        Valid::check(settings)
    }

    /// Checks settings; the first fault is the answer.
    pub fn check(mut settings: Settings) -> Result<Valid, Problem> {
        if let Some(name) = &settings.node.name {
            check_name(name)?;
        }
        if let Some(geography) = &settings.node.geography {
            check_geography(geography)?;
        }
        if let Some(folder) = &settings.storage.folder {
            check_folder(folder)?;
        }
        check_encryption(&settings.storage)?;
        check_network(&settings.network)?;
        check_range("CFG-106", "retention_days", settings.retention_days, 1, 3650)?;
        check_range("CFG-106", "sources.poll_seconds", settings.sources.poll_seconds, 1, 86_400)?;
        check_range("CFG-106", "analyzer.batch_size", settings.analyzer.batch_size, 1, 1024)?;
        check_range("CFG-106", "analyzer.max_sequence_length", settings.analyzer.max_sequence_length, 16, 512)?;
        check_k3s(&settings)?;
        settings.languages = settings.languages.iter().map(|l| language(l)).collect::<Result<_, _>>()?;
        settings.sources.hashtags = hashtags(&settings.sources.hashtags)?;
        for feed in &settings.sources.rss {
            check_url("sources.rss", &feed.url, true)?;
            feed.language.as_deref().map(language).transpose()?;
        }
        for instance in &mut settings.sources.mastodon {
            check_url("sources.mastodon", &instance.server, false)?;
            instance.hashtags = hashtags(&instance.hashtags)?;
        }
        check_unique("sources.rss", settings.sources.rss.iter().map(|f| f.url.as_str()))?;
        check_unique("sources.mastodon", settings.sources.mastodon.iter().map(|i| i.server.as_str()))?;
        Ok(Valid(settings))
    }

    /// The settings themselves, to change and check again.
    pub fn into_inner(self) -> Settings {
        self.0
    }
}

/// A node's name becomes a Kubernetes node name and a label value: RFC 1123, at most 63 characters.
fn check_name(name: &str) -> Result<(), Problem> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let good = !name.is_empty() && name.len() <= 63 && name.chars().all(|c| plain(c) || c == '-') && name.starts_with(plain) && name.ends_with(plain);
    good.then_some(()).ok_or_else(|| {
        Problem::new("CFG-102", format!("node.name {name:?} is not a valid name"), "names are lower-case letters, digits and hyphens, at most 63, with no hyphen at either end", "Choose a name such as leaf-1, or remove the line to take the host's name.")
    })
}

fn check_geography(geography: &str) -> Result<(), Problem> {
    let good = !geography.trim().is_empty() && geography.chars().count() <= 100 && !geography.chars().any(char::is_control);
    good.then_some(()).ok_or_else(|| {
        Problem::new("CFG-103", "node.geography is not usable", "it is empty, longer than 100 characters, or holds a control character", "Give the geography's name, such as \"Northern Mumbai\".")
    })
}

fn check_k3s(settings: &Settings) -> Result<(), Problem> {
    if let Some(file) = settings.k3s.as_ref().filter(|file| !file.is_absolute()) {
        return Err(Problem::new("CFG-113", format!("k3s = {:?} cannot be used", file.display()), "it does not begin with /, so that it would depend on the folder of whoever starts the node", "Give the whole path of the k3s binary."));
    }
    let sum = |s: &&String| s.len() == 64 && s.chars().all(|c| c.is_ascii_hexdigit());
    match settings.k3s_sha256.as_ref().filter(|s| !sum(s)) {
        Some(given) => Err(Problem::new("CFG-109", format!("k3s_sha256 = {given:?} is not a sum"), "a SHA-256 sum is 64 hexadecimal digits", "Copy it from what the release publishes, or from `sha256sum`.")),
        None => Ok(()),
    }
}

/// It goes into mounts and links: absolute, without detours, and not the root itself.
fn check_folder(folder: &Path) -> Result<(), Problem> {
    use std::path::Component::{Normal, RootDir};
    let good = folder.is_absolute() && folder.components().all(|c| matches!(c, RootDir | Normal(_))) && folder.components().count() > 1;
    good.then_some(()).ok_or_else(|| {
        Problem::new("CFG-111", format!("storage.folder {} is not usable", folder.display()), "it must be an absolute path without `..`, and not / itself", "Name the folder where the disk is mounted, such as /srv/disk.")
    })
}

/// A disk, or a file with a size; a file that cannot hold the least volumes is refused when the disk is judged.
fn check_encryption(storage: &Storage) -> Result<(), Problem> {
    let wrong = |cause: &str, next: &str| Err(Problem::new("CFG-112", "storage.encrypt is not usable", cause, next));
    let Some(on) = &storage.encrypt else {
        return if storage.encrypt_gib.is_none() { Ok(()) } else { wrong("storage.encrypt_gib gives a size and nothing names the file", "Name the file as storage.encrypt, or remove the line.") };
    };
    if !on.is_absolute() || on.components().any(|c| c == std::path::Component::ParentDir) || on.file_name().is_none() {
        return wrong("it must be an absolute path without `..`", "Name an empty disk, such as /dev/sdb, or a file that is to be made.");
    }
    match (storage.folder.is_some(), on.starts_with("/dev"), storage.encrypt_gib) {
        (true, ..) => wrong("storage.folder is set, too", "Keep one of the two: an encrypted disk is mounted by the node itself."),
        (_, true, Some(_)) => wrong("a disk has its own size", "Remove storage.encrypt_gib, which is for a file."),
        (_, false, None) => wrong("it names a file without a size", "Give the size as storage.encrypt_gib, such as 100."),
        (_, false, Some(gib)) => check_range("CFG-112", "storage.encrypt_gib", gib, 8, 1 << 20),
        _ => Ok(()),
    }
}

/// What carries packets in the open mode knows IPv4 only.
fn check_network(network: &Network) -> Result<(), Problem> {
    if network.stack == Some(Stack::Dual) && network.between == Some(Between::Open) {
        return Err(Problem::new("CFG-114", "network.stack = \"dual\" and network.between = \"open\" do not go together", "IPv6 packets of pods travel between the hosts through the encrypted mesh only", "Remove one of the two lines."));
    }
    Ok(())
}

fn check_range(code: &str, field: &str, value: u32, low: u32, high: u32) -> Result<(), Problem> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(Problem::new(code, format!("{field} = {value} is out of range"), format!("it must lie between {low} and {high}"), "Correct the value, or remove the line to take the default."))
}

fn check_url(field: &str, url: &Url, path: bool) -> Result<(), Problem> {
    let cause = match url {
        u if !matches!(u.scheme(), "http" | "https") => "only http and https are observed",
        u if u.host_str().is_none_or(str::is_empty) => "it names no host",
        u if u.password().is_some() || !u.username().is_empty() => "credentials do not belong in settings",
        u if !path && (u.path() != "/" || u.query().is_some()) => "give the server alone, without a path",
        _ => return Ok(()),
    };
    let mut shown = url.clone();
    let _ = shown.set_password(None);
    let _ = shown.set_username("");
    Err(Problem::new("CFG-104", format!("{field}: {shown} cannot be used"), cause, "Correct the address."))
}

fn check_unique<'a>(field: &str, values: impl Iterator<Item = &'a str>) -> Result<(), Problem> {
    let mut seen = BTreeSet::new();
    for value in values {
        if !seen.insert(value) {
            return Err(Problem::new("CFG-105", format!("{field} names {value} twice"), "each source is observed once", "Remove one of the two."));
        }
    }
    Ok(())
}

fn hashtags(tags: &[String]) -> Result<Vec<String>, Problem> {
    let mut clean = Vec::new();
    for tag in tags {
        let bare = tag.strip_prefix('#').unwrap_or(tag);
        let good = !bare.is_empty() && bare.chars().count() <= 100 && bare.chars().all(|c| c.is_alphanumeric() || "_-·".contains(c));
        if !good {
            return Err(Problem::new("CFG-107", format!("hashtag {tag:?} is not usable"), "a hashtag is letters, digits, _ and -, without spaces or commas", "Correct or remove it."));
        }
        if !clean.iter().any(|c: &String| c == bare) {
            clean.push(bare.to_string());
        }
    }
    Ok(clean)
}

fn language(tag: &str) -> Result<String, Problem> {
    let mut parts = tag.split('-');
    let first = parts.next().unwrap_or_default();
    let good = (2..=3).contains(&first.len())
        && first.chars().all(|c| c.is_ascii_alphabetic())
        && parts.all(|p| (1..=8).contains(&p.len()) && p.chars().all(|c| c.is_ascii_alphanumeric()));
    if good {
        return Ok(tag.to_ascii_lowercase());
    }
    Err(Problem::new("CFG-108", format!("language {tag:?} is not a language tag"), "tags look like en, pt or pt-BR (BCP 47)", "Correct or remove it."))
}
