//! Queries as octets, and replies read without much trust in who wrote them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use fairlead::wire::{HEADER_LENGTH, Name, RecordType, Records};

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A query.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) name: String,
    pub(crate) record_type: u16,
    pub(crate) class: u16,
    pub(crate) opcode: u8,
    /// The bits of the header behind the opcode: RD is 0x100, Z 0x40, AD 0x20, CD 0x10.
    pub(crate) flags: u16,
    pub(crate) opt: Option<Opt>,
}

/// An OPT record.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Opt {
    pub(crate) udp_size: u16,
    pub(crate) version: u8,
    /// DO is 0x8000.
    pub(crate) flags: u16,
    /// Codes and data.
    pub(crate) options: Vec<(u16, Vec<u8>)>,
}

impl Opt {
    /// One without options that takes this many octets.
    pub(crate) fn of_size(udp_size: u16) -> Self {
        Self { udp_size, ..Self::default() }
    }

    /// The same with another option.
    pub(crate) fn with(mut self, code: u16, data: &[u8]) -> Self {
        self.options.push((code, data.to_vec()));
        self
    }

    fn octets(&self) -> Vec<u8> {
        let mut options = Vec::new();
        for (code, data) in &self.options {
            options.extend_from_slice(&code.to_be_bytes());
            options.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
            options.extend_from_slice(data);
        }
        let mut octets = vec![0, 0, 41];
        octets.extend_from_slice(&self.udp_size.to_be_bytes());
        octets.extend_from_slice(&[0, self.version]);
        octets.extend_from_slice(&self.flags.to_be_bytes());
        octets.extend_from_slice(&u16::try_from(options.len()).unwrap().to_be_bytes());
        octets.extend_from_slice(&options);
        octets
    }
}

impl Asked {
    /// A plain query in class IN.
    pub(crate) fn new(name: &str, record_type: &str) -> Self {
        let record_type = record_type.parse::<RecordType>().unwrap().0;
        Self { name: name.to_owned(), record_type, class: 1, opcode: 0, flags: 0, opt: None }
    }

    /// The same with an OPT record.
    pub(crate) fn with_opt(mut self, opt: Opt) -> Self {
        self.opt = Some(opt);
        self
    }

    /// The message. The name keeps its case.
    pub(crate) fn packet(&self, id: u16) -> Vec<u8> {
        let mut packet = id.to_be_bytes().to_vec();
        packet.extend_from_slice(&(u16::from(self.opcode) << 11 | self.flags).to_be_bytes());
        packet.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, u8::from(self.opt.is_some())]);
        packet.extend_from_slice(self.name.parse::<Name>().unwrap().as_wire());
        packet.extend_from_slice(&self.record_type.to_be_bytes());
        packet.extend_from_slice(&self.class.to_be_bytes());
        packet.extend(self.opt.iter().flat_map(Opt::octets));
        packet
    }
}

/// A reply as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) octets: Vec<u8>,
    pub(crate) opcode: u8,
    /// With the bits that OPT adds.
    pub(crate) rcode: u16,
    /// QR 0x8000, AA 0x400, TC 0x200, RD 0x100, RA 0x80, Z 0x40, AD 0x20, CD 0x10.
    pub(crate) flags: u16,
    /// The question's octets; empty when there is none.
    pub(crate) question: Vec<u8>,
    /// Owner and type of each record, by section; OPT is not among them.
    pub(crate) records: [Vec<(String, u16)>; 3],
    pub(crate) opt: Option<Opt>,
}

impl Told {
    /// Reads a message to its last octet; any that breaks the format fails the test.
    pub(crate) fn read(octets: &[u8]) -> Self {
        let number = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
        let word = number(2);
        let mut at = HEADER_LENGTH;
        if number(4) == 1 {
            while octets[at] != 0 {
                assert!(octets[at] < 64, "the question's name is compressed");
                at += 1 + usize::from(octets[at]);
            }
            at += 5;
        } else {
            assert_eq!(number(4), 0, "more than one question");
        }
        let mut told = Self {
            octets: octets.to_vec(),
            opcode: u8::try_from(word >> 11 & 0xf).unwrap(),
            rcode: word & 0xf,
            flags: word & 0x87f0,
            question: octets[HEADER_LENGTH..at].to_vec(),
            records: Default::default(),
            opt: None,
        };
        let mut records = Records::new(octets, at);
        for section in 0..3 {
            for _ in 0..number(6 + 2 * section) {
                let record = records.next_record().unwrap_or_else(|| panic!("a record is cut short: {octets:02x?}"));
                if record.record_type == RecordType::OPT {
                    assert!(section == 2 && told.opt.is_none() && record.name == Name::root(), "OPT out of place");
                    let [extended, version, high, low] = record.ttl.to_be_bytes();
                    told.rcode |= u16::from(extended) << 4;
                    let flags = u16::from_be_bytes([high, low]);
                    let options = options(&record.rdata);
                    told.opt = Some(Opt { udp_size: record.class.0, version, flags, options });
                } else {
                    told.records[section].push((record.name.to_string(), record.record_type.0));
                }
            }
        }
        assert_eq!(records.position(), octets.len(), "octets behind the last record: {octets:02x?}");
        told
    }

    /// The data of an option; none when it is not there.
    pub(crate) fn option(&self, code: u16) -> Option<&[u8]> {
        let options = &self.opt.as_ref()?.options;
        options.iter().find(|(other, _)| *other == code).map(|(_, data)| data.as_slice())
    }
}

fn options(mut rdata: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut options = Vec::new();
    while let [c0, c1, l0, l1, rest @ ..] = rdata {
        let (data, rest) = rest.split_at(usize::from(u16::from_be_bytes([*l0, *l1])));
        options.push((u16::from_be_bytes([*c0, *c1]), data.to_vec()));
        rdata = rest;
    }
    assert!(rdata.is_empty(), "an option is cut short");
    options
}

/// What one datagram is answered with; none when nothing comes in time.
pub(crate) fn by_udp(server: SocketAddr, packet: &[u8], patience: Duration) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(patience)).unwrap();
    socket.send_to(packet, server).unwrap();
    let mut reply = vec![0; 65_535];
    let (length, from) = socket.recv_from(&mut reply).ok()?;
    assert_eq!(from, server);
    reply.truncate(length);
    Some(reply)
}

/// What one message on a connection of its own is answered with.
pub(crate) fn by_tcp(server: SocketAddr, packet: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[&u16::try_from(packet.len()).unwrap().to_be_bytes(), packet].concat()).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply).unwrap();
    reply
}

/// Asks by datagram or stream; the reply must be to this query.
pub(crate) fn ask(server: SocketAddr, asked: &Asked, is_stream: bool) -> Told {
    let packet = asked.packet(0x1234);
    let reply = if is_stream {
        by_tcp(server, &packet)
    } else {
        by_udp(server, &packet, PATIENCE).unwrap_or_else(|| panic!("no reply to {packet:02x?}"))
    };
    assert_eq!(reply[..2], packet[..2], "the id");
    Told::read(&reply)
}
