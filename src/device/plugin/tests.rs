//! The plugin against a stand-in of the kubelet: its socket, its registry, its questions.

use super::api::{AllocateRequest, AllocateResponse, ContainerAllocateRequest, HEALTHY, ListAndWatchResponse, UNHEALTHY};
use super::*;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tonic::codegen::Service;
use tonic::server::{Grpc, UnaryService};
use tonic::{Request, Response, Status};

/// The kubelet's registry: hands on who registers.
#[derive(Clone)]
struct Registry(mpsc::UnboundedSender<RegisterRequest>);

impl UnaryService<RegisterRequest> for Registry {
    type Response = Empty;
    type Future = std::future::Ready<Result<Response<Empty>, Status>>;
    fn call(&mut self, request: Request<RegisterRequest>) -> Self::Future {
        let answer = if request.get_ref().version == VERSION { Ok(Response::new(Empty {})) } else { Err(Status::invalid_argument("version")) };
        drop(self.0.send(request.into_inner()));
        std::future::ready(answer)
    }
}

impl Service<http::Request<Body>> for Registry {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        assert_eq!(request.uri().path(), REGISTER);
        let service = self.clone();
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(service, request).await) })
    }
}

/// A kubelet as long as it is polled. Like the real one it removes every socket in the folder when it begins.
async fn kubelet(folder: PathBuf, registered: mpsc::UnboundedSender<RegisterRequest>) -> Result<(), String> {
    for entry in std::fs::read_dir(&folder).unwrap().flatten() {
        std::fs::remove_file(entry.path()).unwrap();
    }
    let listener = UnixListener::bind(folder.join(KUBELET)).unwrap();
    Server::builder().serve_with_incoming(Registry(registered), UnixListenerStream::new(listener)).await.map_err(|e| e.to_string())
}

fn device(id: &str, health: &str) -> Device {
    Device { id: id.into(), health: health.into(), topology: None }
}

struct Asker(Asking, #[allow(dead_code)] Companion);

impl Asker {
    async fn new(socket: &Path) -> Asker {
        let (asking, driver) = connect(socket).await.unwrap();
        Asker(asking, driver)
    }

    async fn unary<Q: prost::Message + 'static, A: prost::Message + Default + 'static>(&mut self, method: &'static str, question: Q) -> Result<A, Status> {
        self.0.ready().await.unwrap();
        Ok(self.0.unary(Request::new(question), http::uri::PathAndQuery::from_static(method), ProstCodec::default()).await?.into_inner())
    }
}

#[tokio::test]
async fn the_kubelet_hears_of_the_devices_of_every_change_and_again_after_it_began_anew() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_path_buf();
    let (change, devices) = watch::channel(vec![device("GPU-1", HEALTHY)]);
    let (send, mut registered) = mpsc::unbounded_channel();
    let plugin = Plugin { folder: folder.clone(), socket: "nvidia.sock".into(), resource: "nvidia.com/gpu".into(), devices };
    let (tell, mut told) = mpsc::unbounded_channel();
    let _plugin = crate::task::Companion::start(async move { plugin.run(move |state| drop(tell.send(state))).await });
    assert!(told.recv().await.unwrap().unwrap().contains("no socket"), "without a kubelet it waits and says so");
    for life in 0..2 {
        let (folder_of, send) = (folder.clone(), send.clone());
        let _kubelet = crate::task::Companion::start(async move { kubelet(folder_of, send).await.unwrap() });
        let asked = registered.recv().await.unwrap();
        assert_eq!((asked.endpoint.as_str(), asked.resource_name.as_str(), asked.version.as_str()), ("nvidia.sock", "nvidia.com/gpu", "v1beta1"));
        if life == 0 {
            assert_eq!(told.recv().await.unwrap(), None);
        }
        let mut asker = Asker::new(&folder.join(asked.endpoint)).await;
        let options: DevicePluginOptions = asker.unary("/v1beta1.DevicePlugin/GetDevicePluginOptions", Empty {}).await.unwrap();
        assert_eq!(options, DevicePluginOptions::default());
        asker.0.ready().await.unwrap();
        let path = http::uri::PathAndQuery::from_static("/v1beta1.DevicePlugin/ListAndWatch");
        let mut lists = asker.0.server_streaming::<Empty, ListAndWatchResponse, _>(Request::new(Empty {}), path, ProstCodec::default()).await.unwrap().into_inner();
        assert_eq!(lists.next().await.unwrap().unwrap().devices, [device("GPU-1", HEALTHY)]);
        change.send_replace(vec![device("GPU-1", UNHEALTHY)]);
        assert_eq!(lists.next().await.unwrap().unwrap().devices, [device("GPU-1", UNHEALTHY)]);
        let wanted = AllocateRequest { containers: vec![ContainerAllocateRequest { ids: vec!["GPU-1".into()] }] };
        let refused = asker.unary::<_, AllocateResponse>("/v1beta1.DevicePlugin/Allocate", wanted.clone()).await.unwrap_err();
        assert!(refused.message().contains("cannot be used"), "{refused}");
        change.send_replace(vec![device("GPU-1", HEALTHY)]);
        lists.next().await.unwrap().unwrap();
        let given: AllocateResponse = asker.unary("/v1beta1.DevicePlugin/Allocate", wanted).await.unwrap();
        assert_eq!(given.containers[0].cdi_devices[0].name, "nvidia.com/gpu=GPU-1");
        let unknown = asker.unary::<_, Empty>("/v1beta1.DevicePlugin/PreStartContainer", Empty {}).await.unwrap_err();
        assert_eq!(unknown.code(), tonic::Code::Unimplemented);
    }
}

#[test]
fn what_a_kubelet_left_goes_and_the_folder_of_one_at_work_stays() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("kubelet/device-plugins");
    std::fs::create_dir_all(&folder).unwrap();
    let at_work = std::os::unix::net::UnixListener::bind(folder.join(KUBELET)).unwrap();
    std::fs::write(folder.join("kubelet_internal_checkpoint"), "{}").unwrap();
    clean(&folder);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2, "another kubelet is at work");
    drop(at_work);
    std::fs::write(folder.join("foreign.sock"), "").unwrap();
    clean(&folder);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "what is not ours stays");
    std::fs::remove_file(folder.join("foreign.sock")).unwrap();
    clean(&folder);
    assert!(!dir.path().join("kubelet").exists());
}
