//! The kubelet's device plugin interface `v1beta1`: its messages and the two services, as the kubelet's `api.proto` defines them.
//!
//! Written by hand, so that building needs no compiler of such definitions. Fields that this side never fills are left out, which
//! the encoding allows.

use std::collections::HashMap;

/// The version of the interface.
pub const VERSION: &str = "v1beta1";
/// Asks the kubelet to use a plugin.
pub const REGISTER: &str = "/v1beta1.Registration/Register";
/// Health in the kubelet's words.
pub const HEALTHY: &str = "Healthy";
/// Health in the kubelet's words.
pub const UNHEALTHY: &str = "Unhealthy";

/// Nothing.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Empty {}

/// What a plugin wants to be asked beyond the necessary: nothing.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct DevicePluginOptions {
    /// Asked before each start of a container.
    #[prost(bool, tag = "1")]
    pub pre_start_required: bool,
    /// Asked which devices go well together.
    #[prost(bool, tag = "2")]
    pub get_preferred_allocation_available: bool,
}

/// A plugin's first words.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RegisterRequest {
    /// Version of the interface.
    #[prost(string, tag = "1")]
    pub version: String,
    /// Name of the plugin's socket beside the kubelet's.
    #[prost(string, tag = "2")]
    pub endpoint: String,
    /// What it gives, such as `nvidia.com/gpu`.
    #[prost(string, tag = "3")]
    pub resource_name: String,
    /// What it wants to be asked.
    #[prost(message, optional, tag = "4")]
    pub options: Option<DevicePluginOptions>,
}

/// All devices as they are now.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ListAndWatchResponse {
    /// The devices.
    #[prost(message, repeated, tag = "1")]
    pub devices: Vec<Device>,
}

/// One device.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Device {
    /// Its name, at most 63 characters.
    #[prost(string, tag = "1")]
    pub id: String,
    /// [`HEALTHY`] or [`UNHEALTHY`].
    #[prost(string, tag = "2")]
    pub health: String,
    /// Where it hangs.
    #[prost(message, optional, tag = "3")]
    pub topology: Option<Topology>,
}

/// Memory nodes of a device.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Topology {
    /// The nodes.
    #[prost(message, repeated, tag = "1")]
    pub nodes: Vec<NumaNode>,
}

/// A memory node.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct NumaNode {
    /// Its number.
    #[prost(int64, tag = "1")]
    pub id: i64,
}

/// Asks for devices for the containers of a pod.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct AllocateRequest {
    /// One a container.
    #[prost(message, repeated, tag = "1")]
    pub containers: Vec<ContainerAllocateRequest>,
}

/// Asks for devices for one container.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ContainerAllocateRequest {
    /// Their names.
    #[prost(string, repeated, tag = "1")]
    pub ids: Vec<String>,
}

/// What the containers get.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct AllocateResponse {
    /// One a container.
    #[prost(message, repeated, tag = "1")]
    pub containers: Vec<ContainerAllocateResponse>,
}

/// What a container gets.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ContainerAllocateResponse {
    /// Variables of its environment.
    #[prost(map = "string, string", tag = "1")]
    pub envs: HashMap<String, String>,
    /// Devices by their names in the Container Device Interface.
    #[prost(message, repeated, tag = "5")]
    pub cdi_devices: Vec<CdiDevice>,
}

/// A device by its name in the Container Device Interface.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CdiDevice {
    /// The name.
    #[prost(string, tag = "1")]
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    #[test]
    fn messages_are_encoded_as_the_kubelet_reads_them() {
        let device = Device { id: "g".into(), health: HEALTHY.into(), topology: Some(Topology { nodes: vec![NumaNode { id: 1 }] }) };
        let bytes = ListAndWatchResponse { devices: vec![device] }.encode_to_vec();
        assert_eq!(hex::encode(bytes), "0a12 0a0167 12074865616c746879 1a04 0a02 0801".replace(' ', ""));
        let answer = ContainerAllocateResponse { cdi_devices: vec![CdiDevice { name: "a=b".into() }], ..Default::default() };
        assert_eq!(hex::encode(AllocateResponse { containers: vec![answer] }.encode_to_vec()), "0a07 2a05 0a03 613d62".replace(' ', ""));
    }
}
