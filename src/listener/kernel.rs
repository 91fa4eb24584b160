//! What the kernel knows and a socket does not say: datagrams it dropped, and who holds an address.

use std::fs;
use std::net::{IpAddr, SocketAddr};

use crate::metrics::{KernelUdp, Protocol, Scrape};

/// Reads the kernel's UDP counters and the drops of our own sockets into a scrape. Absent files are passed over.
pub(super) fn scrape(addresses: &[SocketAddr], scrape: &mut Scrape) {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (snmp, snmp6) = (read("/proc/net/snmp"), read("/proc/net/snmp6"));
    for (counter, name) in KernelUdp::ALL {
        if let Some(value) = snmp_value(&snmp, name) {
            scrape.kernel_udp("ipv4", counter, value);
        }
        if let Some(value) = snmp6_value(&snmp6, name) {
            scrape.kernel_udp("ipv6", counter, value);
        }
    }
    let (udp, udp6) = (read("/proc/net/udp"), read("/proc/net/udp6"));
    for address in addresses {
        let table = if address.is_ipv4() { &udp } else { &udp6 };
        let dropped =
            rows_of(table, *address).filter_map(|row| row.split_whitespace().last()?.parse::<u64>().ok()).sum();
        scrape.socket_drops(&address.to_string(), dropped);
    }
}

/// The value of a column of the `Udp:` rows of `/proc/net/snmp`: names in one row, values in the next.
fn snmp_value(snmp: &str, column: &str) -> Option<u64> {
    let mut rows = snmp.lines().filter_map(|row| row.strip_prefix("Udp:"));
    let at = rows.next()?.split_whitespace().position(|name| name == column)?;
    rows.next()?.split_whitespace().nth(at)?.parse().ok()
}

/// The value of a row of `/proc/net/snmp6`: `Udp6InErrors 3`.
fn snmp6_value(snmp6: &str, name: &str) -> Option<u64> {
    let mut rows = snmp6.lines().filter_map(|row| row.strip_prefix("Udp6")?.split_once(char::is_whitespace));
    rows.find(|(row, _)| *row == name)?.1.trim().parse().ok()
}

/// The rows of a `/proc/net` socket table that are bound to exactly this address and port.
fn rows_of(table: &str, address: SocketAddr) -> impl Iterator<Item = &str> {
    let wanted = encoded(address);
    table.lines().skip(1).filter(move |row| row.split_whitespace().nth(1).is_some_and(|local| local == wanted))
}

/// An address as `/proc/net` writes it: 32-bit words in the machine's byte order, then the port.
fn encoded(address: SocketAddr) -> String {
    let words = |octets: &[u8]| -> String {
        let words = octets.chunks(4).filter_map(|chunk| Some(u32::from_ne_bytes(chunk.try_into().ok()?)));
        words.map(|word| format!("{word:08X}")).collect()
    };
    let host = match address.ip() {
        IpAddr::V4(address) => words(&address.octets()),
        IpAddr::V6(address) => words(&address.octets()),
    };
    format!("{host}:{:04X}", address.port())
}

/// Who holds an address that is in use: `process 812 (named)`. None where this user may not see it.
pub(super) fn holder(address: SocketAddr, protocol: Protocol) -> Option<String> {
    let tables = match protocol {
        Protocol::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        Protocol::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
    };
    let port = format!(":{:04X}", address.port());
    let inodes: Vec<String> = tables
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|table| table.lines().skip(1).filter_map(|row| listening_inode(row, &port)).collect::<Vec<_>>())
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let process: u32 = entry.file_name().to_str()?.parse().ok()?;
        let mut files = fs::read_dir(entry.path().join("fd")).ok()?.flatten();
        let holds = files.any(|file| {
            fs::read_link(file.path()).is_ok_and(|link| inodes.iter().any(|inode| link.as_os_str() == inode.as_str()))
        });
        let name = holds.then(|| fs::read_to_string(entry.path().join("comm")).ok())??;
        Some(format!("process {process} ({})", name.trim()))
    })
}

/// The inode of a row whose local port is `port` and which is not a connection to somewhere.
fn listening_inode(row: &str, port: &str) -> Option<String> {
    let mut columns = row.split_whitespace().skip(1);
    let (local, remote) = (columns.next()?, columns.next()?);
    (local.ends_with(port) && remote.ends_with(":0000")).then(|| columns.nth(6).map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_name() {
        let snmp = "Tcp: A NoPorts\nTcp: 1 2\nUdp: InDatagrams NoPorts InErrors RcvbufErrors\nUdp: 10 20 30 40\nUdpLite: NoPorts\nUdpLite: 9\n";
        assert_eq!(snmp_value(snmp, "NoPorts"), Some(20));
        assert_eq!(snmp_value(snmp, "RcvbufErrors"), Some(40));
        assert_eq!(snmp_value(snmp, "Missing"), None);
        assert_eq!(snmp_value("", "NoPorts"), None);
        let snmp6 = "Udp6InErrorsX  1\nUdp6InErrors    \t7\nUdp6NoPorts 8\n";
        assert_eq!(snmp6_value(snmp6, "InErrors"), Some(7));
        assert_eq!(snmp6_value(snmp6, "NoPorts"), Some(8));
        assert_eq!(snmp6_value(snmp6, "InCsumErrors"), None);
    }

    #[test]
    fn sockets_are_found_by_address_and_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            1: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4242 2 0 17\n\
            2: 0100007F:0036 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4243 2 0 5\n";
        let rows: Vec<_> = rows_of(table, "127.0.0.1:53".parse().unwrap()).collect();
        assert_eq!(rows.len(), 1);
        assert!(rows[0].ends_with(" 17"));
        assert_eq!(listening_inode(rows[0], ":0035"), Some("4242".to_owned()));
        assert_eq!(listening_inode(rows[0], ":0036"), None);
        assert_eq!(encoded("[::1]:53".parse().unwrap()), "00000000000000000000000001000000:0035");
    }
}
