//! `settings.toml` as it is written: every field has a default, unknown fields are refused.

use super::layout::Layout;
use super::place::{Between, Stack};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use url::Url;

/// The whole of `settings.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Languages that observers keep, as BCP 47 tags; empty keeps all.
    pub languages: Vec<String>,
    /// Days after which stored posts are dropped, 1 to 3650.
    pub retention_days: u32,
    /// Runs the product's own sample site and observes it.
    pub sample: bool,
    /// A k3s binary that runs Kubernetes instead of the embedded distribution.
    pub k3s: Option<PathBuf>,
    /// The sum that this binary must have.
    pub k3s_sha256: Option<String>,
    /// This node.
    pub node: Node,
    /// What is observed.
    pub sources: Sources,
    /// How text is classified.
    pub analyzer: Analyzer,
    /// Where data lies.
    pub storage: Storage,
    /// How the hosts of a cluster are joined.
    pub network: Network,
    /// How the page is found.
    pub page: Page,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            languages: Vec::new(),
            retention_days: 90,
            sample: false,
            k3s: None,
            k3s_sha256: None,
            node: Node::default(),
            sources: Sources::default(),
            analyzer: Analyzer::default(),
            storage: Storage::default(),
            network: Network::default(),
            page: Page::default(),
        }
    }
}

/// This node's names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// Name of the node: lower-case letters, digits and hyphens. Default: the host's name.
    pub name: Option<String>,
    /// The geography that this node observes, such as `Northern Mumbai`.
    pub geography: Option<String>,
}

/// Where data lies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// Folder on the disk that takes the volumes (posts, queue, metrics, imports), such as `/srv/disk`; an absolute path. Default: the
    /// data root. It is chosen before the first start; later the volumes have to be moved by hand.
    pub folder: Option<PathBuf>,
    /// An empty disk or partition, such as `/dev/sdb`, that takes the volumes encrypted (LUKS2); or a file that is made for them on a
    /// disk that is mounted. Instead of `folder`; chosen before the first start. Nothing that holds data is ever formatted.
    pub encrypt: Option<PathBuf>,
    /// Size of that file, GiB; only where `encrypt` names a file.
    pub encrypt_gib: Option<u32>,
}

impl Storage {
    /// The folder that takes the volumes, if it is not the data root: as set, or where the encrypted disk is mounted.
    pub fn place(&self, layout: &Layout) -> Option<PathBuf> {
        self.encrypt.as_ref().map(|_| layout.encrypted()).or_else(|| self.folder.clone())
    }
}

/// How the hosts of a cluster are joined; written on the first host, the others follow it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// Pods' packets between the hosts: `encrypted` (the default), or `open` for a network that nobody else can listen on. In the open
    /// mode whoever is on the network between the hosts can read and forge what pods say, posts too. Chosen before the first host joins.
    pub between: Option<Between>,
    /// Addresses of pods and services: `ipv4` (the default), or `dual` for IPv4 and IPv6. Chosen before the first start. IPv6 addresses
    /// are of the cluster alone (`fd00:42::/56`, `fd00:43::/112`); pods of several hosts reach each other by them in the encrypted mode only.
    pub stack: Option<Stack>,
}

/// How the page is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Page {
    /// Whether the host answers to a name of the local network (multicast DNS): `node.name` with `.local`, or `antihate-XXXX.local`
    /// where none is set. Where another host has that name already, a number is put behind it. Default: true.
    pub mdns: bool,
}

impl Default for Page {
    fn default() -> Self {
        Page { mdns: true }
    }
}

/// What is observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sources {
    /// Hashtags for the platforms that know them, with or without `#`.
    pub hashtags: Vec<String>,
    /// Seconds between two looks at a source, 1 to 86400.
    pub poll_seconds: u32,
    /// RSS and Atom feeds.
    pub rss: Vec<Feed>,
    /// Servers that speak the Mastodon API.
    pub mastodon: Vec<Instance>,
    /// Files that an operator drops into the import folder.
    pub import: Import,
}

impl Default for Sources {
    fn default() -> Self {
        Sources { hashtags: Vec::new(), poll_seconds: 30, rss: Vec::new(), mastodon: Vec::new(), import: Import::default() }
    }
}

/// One RSS or Atom feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    /// Address of the feed.
    pub url: Url,
    /// Language of its entries, where the feed does not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// One server that speaks the Mastodon API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// Address of the server, without a path.
    pub server: Url,
    /// Hashtag timelines of this server; empty takes those of [`Sources::hashtags`].
    #[serde(default)]
    pub hashtags: Vec<String>,
    /// Whether the public timeline is observed.
    #[serde(default)]
    pub public: bool,
}

/// Import of JSON Lines and CSV files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Import {
    /// Whether the import folder is read.
    pub enabled: bool,
}

impl Default for Import {
    fn default() -> Self {
        Import { enabled: true }
    }
}

/// How text is classified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Analyzer {
    /// The engine that runs the model.
    pub engine: Engine,
    /// Posts a batch, 1 to 1024.
    pub batch_size: u32,
    /// Tokens a post, 16 to 512; longer texts are cut.
    pub max_sequence_length: u32,
}

impl Default for Analyzer {
    fn default() -> Self {
        Analyzer { engine: Engine::Onnxruntime, batch_size: 32, max_sequence_length: 512 }
    }
}

/// An engine for ONNX models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// ONNX Runtime with the int8 model, in the analyzer image.
    Onnxruntime,
    /// tract with the f32 model, in the static worker.
    Tract,
}

impl Engine {
    /// The word in settings and in the environment of the pod.
    pub fn as_str(self) -> &'static str {
        match self {
            Engine::Onnxruntime => "onnxruntime",
            Engine::Tract => "tract",
        }
    }
}
