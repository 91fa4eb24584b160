//! From ids to objects, and the names by which people call them.

use std::sync::Arc;

use super::{
    Datacenter, DatacenterId, Member, MemberTarget, Model, Pattern, Pool, PoolId, Server, ServerId, VirtualServer,
    VirtualServerId, WideIp, WideIpId,
};

/// An id as an index.
#[inline]
pub(super) fn index(id: u32) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

impl Model {
    /// A pool by its id.
    pub fn pool(&self, id: PoolId) -> Option<&Pool> {
        self.pools.get(index(id.0))
    }

    /// A wide IP by its id.
    pub fn wide_ip(&self, id: WideIpId) -> Option<&WideIp> {
        self.wide_ips.get(index(id.0))
    }

    /// A virtual server by its id.
    pub fn virtual_server(&self, id: VirtualServerId) -> Option<&VirtualServer> {
        self.virtual_servers.get(index(id.0))
    }

    /// A server by its id.
    pub fn server(&self, id: ServerId) -> Option<&Server> {
        self.servers.get(index(id.0))
    }

    /// A datacenter by its id.
    pub fn datacenter(&self, id: DatacenterId) -> Option<&Datacenter> {
        self.datacenters.get(index(id.0))
    }

    /// The datacenter in which a virtual server stands.
    pub fn datacenter_of(&self, id: VirtualServerId) -> Option<&Datacenter> {
        self.datacenter(self.server(self.virtual_server(id)?.server)?.datacenter)
    }

    /// A virtual server's name as `server/virtual-server`.
    pub fn virtual_server_name(&self, id: VirtualServerId) -> String {
        let one = self.virtual_server(id);
        let server = one.and_then(|one| self.server(one.server)).map_or("?", |server| &server.name);
        format!("{server}/{}", one.map_or("?", |one| &one.name))
    }

    /// A member's name as operators write it: `server/virtual-server`, or the target's name.
    pub fn member_name(&self, member: &Member) -> Arc<str> {
        match &member.target {
            MemberTarget::VirtualServer(id) => self.virtual_server_name(*id).into(),
            MemberTarget::Name { name, .. } => name.to_string().into(),
        }
    }

    /// A wide IP's name with its type, as operators write it: `www.example.com./A`.
    pub fn wide_ip_name(&self, id: WideIpId) -> Arc<str> {
        self.wide_ip(id).map_or_else(|| "?".into(), |wide_ip| wide_ip.full_name().into())
    }
}

impl WideIp {
    /// The name with the type, as operators write it: `www.example.com./A`, and `www.example.com./A@internal` in a view
    /// other than `default`.
    pub fn full_name(&self) -> String {
        let (Pattern::Exact(name) | Pattern::Glob(name)) = &self.name;
        let view = if self.view.is_default() { String::new() } else { format!("@{}", self.view) };
        format!("{name}/{}{view}", self.record_type)
    }
}
