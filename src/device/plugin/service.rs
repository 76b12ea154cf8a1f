//! The plugin's side of the interface: tells of the devices, and answers with their names when a container is to get some.

use super::api::{AllocateRequest, AllocateResponse, CdiDevice, ContainerAllocateResponse, Device, DevicePluginOptions, Empty, HEALTHY, ListAndWatchResponse};
use crate::device::cdi;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, ServerStreamingService, UnaryService};
use tonic::{Request, Response, Status, body::Body};
use tonic_prost::ProstCodec;

type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Answers the kubelet with what the watch says.
#[derive(Clone)]
pub struct DevicePlugin {
    devices: watch::Receiver<Vec<Device>>,
}

impl DevicePlugin {
    /// One that tells of these devices.
    pub fn new(devices: watch::Receiver<Vec<Device>>) -> DevicePlugin {
        DevicePlugin { devices }
    }
}

/// What containers get, or why they get nothing: a device that is not well or not ours is refused.
pub fn allocate(devices: &[Device], wanted: &AllocateRequest) -> Result<AllocateResponse, String> {
    let one = |id: &String| match devices.iter().find(|d| d.id == *id) {
        Some(device) if device.health == HEALTHY => Ok(CdiDevice { name: cdi::name(id) }),
        Some(_) => Err(format!("{id} cannot be used now")),
        None => Err(format!("{id} is not here")),
    };
    let container = |ids: &[String]| -> Result<_, String> { Ok(ContainerAllocateResponse { cdi_devices: ids.iter().map(one).collect::<Result<_, _>>()?, ..Default::default() }) };
    Ok(AllocateResponse { containers: wanted.containers.iter().map(|c| container(&c.ids)).collect::<Result<_, _>>()? })
}

struct Options;
impl UnaryService<Empty> for Options {
    type Response = DevicePluginOptions;
    type Future = Later<Result<Response<DevicePluginOptions>, Status>>;
    fn call(&mut self, _: Request<Empty>) -> Self::Future {
        Box::pin(async { Ok(Response::new(DevicePluginOptions::default())) })
    }
}

struct Allocate(watch::Receiver<Vec<Device>>);
impl UnaryService<AllocateRequest> for Allocate {
    type Response = AllocateResponse;
    type Future = Later<Result<Response<AllocateResponse>, Status>>;
    fn call(&mut self, wanted: Request<AllocateRequest>) -> Self::Future {
        let answer = allocate(&self.0.borrow(), wanted.get_ref()).map(Response::new).map_err(Status::failed_precondition);
        Box::pin(async { answer })
    }
}

struct Watch(watch::Receiver<Vec<Device>>);
impl ServerStreamingService<Empty> for Watch {
    type Response = ListAndWatchResponse;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<ListAndWatchResponse, Status>> + Send>>;
    type Future = Later<Result<Response<Self::ResponseStream>, Status>>;
    fn call(&mut self, _: Request<Empty>) -> Self::Future {
        let lists = WatchStream::new(self.0.clone()).map(|devices| Ok(ListAndWatchResponse { devices }));
        Box::pin(async { Ok(Response::new(Box::pin(lists) as Self::ResponseStream)) })
    }
}

impl Service<http::Request<Body>> for DevicePlugin {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Later<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let devices = self.devices.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/v1beta1.DevicePlugin/GetDevicePluginOptions" => Grpc::new(ProstCodec::default()).unary(Options, request).await,
                "/v1beta1.DevicePlugin/ListAndWatch" => Grpc::new(ProstCodec::default()).server_streaming(Watch(devices), request).await,
                "/v1beta1.DevicePlugin/Allocate" => Grpc::new(ProstCodec::default()).unary(Allocate(devices), request).await,
                // The two others are asked only where the options say so.
                _ => Status::unimplemented("not needed by this plugin").into_http(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::api::{ContainerAllocateRequest, UNHEALTHY};
    use super::*;

    #[test]
    fn only_devices_that_are_well_are_given_away() {
        let device = |id: &str, health: &str| Device { id: id.into(), health: health.into(), topology: None };
        let devices = [device("a", HEALTHY), device("b", UNHEALTHY)];
        let ask = |ids: &[&str]| allocate(&devices, &AllocateRequest { containers: vec![ContainerAllocateRequest { ids: ids.iter().map(|i| i.to_string()).collect() }] });
        assert_eq!(ask(&["a"]).unwrap().containers[0].cdi_devices[0].name, "nvidia.com/gpu=a");
        assert_eq!(ask(&["a", "b"]).unwrap_err(), "b cannot be used now");
        assert_eq!(ask(&["c"]).unwrap_err(), "c is not here");
    }
}
