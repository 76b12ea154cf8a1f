//! The device plugin of the kubelet: a socket beside the kubelet's, registered again whenever the kubelet has begun anew.

pub mod api;
mod service;
#[cfg(test)]
mod tests;

pub use api::Device;

use api::{DevicePluginOptions, Empty, REGISTER, RegisterRequest, VERSION};
use crate::task::Companion;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use service::DevicePlugin;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::body::Body;
use tonic::transport::Server;
use tonic_prost::ProstCodec;
use tower::util::BoxService;

/// Where the kubelet looks for plugins. It is the same for every kubelet, wherever its other files lie.
pub const FOLDER: &str = "/var/lib/kubelet/device-plugins";
/// The kubelet's own socket in it.
const KUBELET: &str = "kubelet.sock";
/// Between two looks whether the kubelet has begun anew.
const LOOK: Duration = Duration::from_secs(1);
/// The kubelet answers within this.
const ANSWER: Duration = Duration::from_secs(10);

/// Name of our own.
pub const SOCKET: &str = "antihate-gpu.sock";

/// Takes away what kubelet and plugin left in the kubelet's folder, unless another kubelet is at work there.
pub fn clean(folder: &Path) {
    if std::os::unix::net::UnixStream::connect(folder.join(KUBELET)).is_ok() {
        return;
    }
    for file in [SOCKET, KUBELET, "kubelet_internal_checkpoint"] {
        drop(std::fs::remove_file(folder.join(file)));
    }
    // Only where nothing of another owner lies in them: a folder that is not empty stays.
    for empty in folder.ancestors().take(2) {
        drop(std::fs::remove_dir(empty));
    }
}

/// A plugin for one kind of device.
pub struct Plugin {
    /// Where the kubelet's socket is.
    pub folder: PathBuf,
    /// Name of our socket beside it.
    pub socket: String,
    /// What it gives.
    pub resource: String,
    /// The devices; every change is told at once.
    pub devices: watch::Receiver<Vec<Device>>,
}

impl Plugin {
    /// Serves for ever; ends by being dropped. `tell` hears how it stands whenever that changes: nothing where the kubelet knows it.
    pub async fn run(&self, tell: impl Fn(Option<String>)) {
        let mut last = None;
        loop {
            let told = |state: Option<String>, last: &mut Option<Option<String>>| {
                if last.as_ref() != Some(&state) {
                    tell(state.clone());
                    *last = Some(state);
                }
            };
            match self.once(|| told(None, &mut last)).await {
                Ok(()) => {} // the kubelet began anew
                Err(e) => told(Some(e), &mut last),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Serves and registers with the kubelet of the moment; returns when that one is gone.
    async fn once(&self, registered: impl FnOnce()) -> Result<(), String> {
        let (own, kubelet) = (self.folder.join(&self.socket), self.folder.join(KUBELET));
        let before = identity(&kubelet).ok_or_else(|| format!("the kubelet has no socket at {} yet", kubelet.display()))?;
        match std::fs::remove_file(&own) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(format!("{}: {e}", own.display())),
            _ => {}
        }
        let listener = UnixListener::bind(&own).map_err(|e| format!("{}: {e}", own.display()))?;
        let mine = identity(&own);
        let serving = Server::builder().serve_with_incoming(DevicePlugin::new(self.devices.clone()), UnixListenerStream::new(listener));
        let lasting = async {
            // After the socket listens: the kubelet calls back before it answers.
            self.register(&kubelet).await?;
            registered();
            while identity(&kubelet) == Some(before) && identity(&own) == mine {
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        };
        tokio::select! {
            ended = serving => Err(ended.map_or_else(|e| e.to_string(), |()| "serving ended".into())),
            ended = lasting => ended,
        }
    }

    async fn register(&self, kubelet: &Path) -> Result<(), String> {
        let request = RegisterRequest { version: VERSION.into(), endpoint: self.socket.clone(), resource_name: self.resource.clone(), options: Some(DevicePluginOptions::default()) };
        let call = async {
            let (mut grpc, _driver) = connect(kubelet).await?;
            grpc.ready().await.map_err(|e| e.to_string())?;
            let path = http::uri::PathAndQuery::from_static(REGISTER);
            let answer = grpc.unary::<_, Empty, _>(tonic::Request::new(request), path, ProstCodec::default()).await;
            answer.map(drop).map_err(|e| format!("the kubelet refused the plugin: {}", e.message()))
        };
        tokio::time::timeout(ANSWER, call).await.unwrap_or_else(|_| Err("the kubelet does not answer".into()))
    }
}

/// What asks over one connection.
type Asking = tonic::client::Grpc<BoxService<http::Request<Body>, http::Response<Incoming>, hyper::Error>>;

/// A connection over a unix socket, and the task that drives it. One connection for one question: tonic's own channels, which
/// connect again and spread the load, would be a third of a megabyte for nothing.
async fn connect(socket: &Path) -> Result<(Asking, Companion), String> {
    let none = |e: &dyn std::fmt::Display| format!("no connection to {}: {e}", socket.display());
    let stream = UnixStream::connect(socket).await.map_err(|e| none(&e))?;
    let (send, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(|e| none(&e))?;
    let driver = Companion::start(async move { drop(connection.await) });
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let mut send = send.clone();
        async move { send.send_request(request).await }
    });
    // The address is only for show.
    Ok((tonic::client::Grpc::with_origin(BoxService::new(service), http::Uri::from_static("http://kubelet")), driver))
}

/// What tells a socket from the one that took its place.
fn identity(path: &Path) -> Option<(u64, u64, i64, i64)> {
    std::fs::symlink_metadata(path).ok().map(|m| (m.dev(), m.ino(), m.ctime(), m.ctime_nsec()))
}
