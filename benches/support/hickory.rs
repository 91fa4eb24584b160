//! hickory-server as a peer: this program runs itself again with [`FLAG`] and serves the zone by the library alone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hickory_server::Server;
use hickory_server::proto::rr::Name;
use hickory_server::store::file::{FileConfig, FileZoneHandler};
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};

use super::data;

/// The argument that makes this program a server; the address and the zone file follow.
pub const FLAG: &str = "--serve-with-hickory";

/// The arguments for the server, with the zone in `bench.zone` of the folder.
pub fn arguments(folder: &Path, address: SocketAddr, _members: u16) -> Vec<String> {
    vec![FLAG.to_owned(), address.to_string(), folder.join("bench.zone").display().to_string()]
}

/// Serves until it is ended, if the arguments say so.
pub fn serve_if_asked() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [flag, address, zone] = arguments.as_slice() else { return };
    if flag != FLAG {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(serve(address.parse().unwrap(), PathBuf::from(zone)));
}

async fn serve(address: SocketAddr, zone_path: PathBuf) {
    let origin = Name::from_ascii(data::ZONE).unwrap();
    let config = FileConfig { zone_path };
    let zone = FileZoneHandler::try_from_config(origin.clone(), ZoneType::Primary, AxfrPolicy::Deny, None, &config);
    let mut catalog = Catalog::new();
    catalog.upsert(origin.into(), vec![Arc::new(zone.unwrap())]);
    let mut server = Server::new(catalog);
    server.register_socket(tokio::net::UdpSocket::bind(address).await.unwrap());
    server.block_until_done().await.unwrap();
}
