//! Frames on the stream: a length of four octets in network order, then one protobuf message.
//!
//! The peer is authenticated and still not trusted: nothing is allocated by a length it names, and a message is counted
//! before it is decoded, because two octets on the wire can ask for hundreds in memory.

use std::fmt;

use prost::Message;

use super::proto::{Body, Frame, VirtualServer};

/// The most octets of a message. 4096 virtual servers with usual names and reasons fit in half of it.
pub const FRAME_LENGTH_MAX: usize = 256 * 1024;
/// The most virtual servers in one frame; longer lists are sent in parts.
pub const ELEMENTS_MAX: usize = 4_096;
/// The most octets of any string.
pub const STRING_LENGTH_MAX: usize = 1_024;
/// The most virtual servers of one agent; what is beyond is not reported.
pub const VIRTUAL_SERVERS_MAX: usize = 16_384;
/// The most parts of one inventory: room for 16,384 virtual servers with the longest strings.
pub const PARTS_MAX: u32 = 160;
/// Frames a peer may send per second in the long run.
pub const FRAMES_PER_SECOND_MAX: u32 = 100;
/// Frames a peer may send at once: a whole inventory and what changes meanwhile.
pub const FRAMES_BURST_MAX: u32 = 256;

/// Octets of the length before each message.
const PREFIX_LENGTH: usize = 4;
/// Scalar and string fields that a report has besides its list, with room for newer versions.
const OTHER_FIELDS_MAX: usize = 64;

/// Why octets are no frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameError {
    /// Its length is above [`FRAME_LENGTH_MAX`].
    TooLong(usize),
    /// It is not the protobuf message it should be.
    Malformed,
    /// It lists more than [`ELEMENTS_MAX`] virtual servers.
    TooManyElements(usize),
    /// It has a string above [`STRING_LENGTH_MAX`].
    StringTooLong(usize),
}

/// Cuts a stream into frames. Holds at most one frame and what came behind it in the same read.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Octets received and not yet taken out as frames.
    buffer: Vec<u8>,
    /// Where in `buffer` the next frame begins.
    start: usize,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds octets as they came in. Take out frames with [`Decoder::take`] until there are none before adding more.
    pub fn push(&mut self, octets: &[u8]) {
        self.buffer.drain(..self.start.min(self.buffer.len()));
        self.start = 0;
        self.buffer.extend_from_slice(octets);
    }

    /// The next whole frame; `None` until more octets come. An error ends the stream.
    pub fn take(&mut self) -> Result<Option<Frame>, FrameError> {
        let waiting = self.buffer.get(self.start..).unwrap_or_default();
        let Some((prefix, rest)) = waiting.split_first_chunk::<PREFIX_LENGTH>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
        if length > FRAME_LENGTH_MAX {
            return Err(FrameError::TooLong(length));
        }
        let Some(message) = rest.get(..length) else {
            return Ok(None);
        };
        let frame = decode(message)?;
        self.start += PREFIX_LENGTH + length;
        Ok(Some(frame))
    }

    /// Octets held.
    pub fn held(&self) -> usize {
        self.buffer.len()
    }
}

/// A frame as it goes on the stream.
pub fn encode(body: Body) -> Result<Vec<u8>, FrameError> {
    let frame = Frame { body: Some(body) };
    let length = frame.encoded_len();
    match u32::try_from(length) {
        Ok(prefix) if length <= FRAME_LENGTH_MAX => {
            let mut octets = Vec::with_capacity(PREFIX_LENGTH + length);
            octets.extend(prefix.to_be_bytes());
            octets.extend(frame.encode_to_vec());
            Ok(octets)
        }
        _ => Err(FrameError::TooLong(length)),
    }
}

/// Reads one message of at most [`FRAME_LENGTH_MAX`] octets and holds it to the limits.
fn decode(message: &[u8]) -> Result<Frame, FrameError> {
    let elements = count_fields(message)?;
    if elements > ELEMENTS_MAX + OTHER_FIELDS_MAX {
        return Err(FrameError::TooManyElements(elements));
    }
    let frame = Frame::decode(message).map_err(|_| FrameError::Malformed)?;
    check_limits(&frame)?;
    Ok(frame)
}

/// Counts the fields of all bodies in a message, without decoding them.
fn count_fields(message: &[u8]) -> Result<usize, FrameError> {
    let mut count = 0;
    let mut outer = Fields(message);
    while let Some(value) = outer.next()? {
        let mut inner = Fields(value);
        // An outer field that is no message is left to the real decoder to refuse or skip.
        while let Ok(Some(_)) = inner.next() {
            count += 1;
        }
        count += 1;
    }
    Ok(count)
}

/// Walks over the fields of a protobuf message; yields the octets of length-delimited ones and nothing of the others.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<Option<&'a [u8]>, FrameError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        match key & 7 {
            0 => self.varint().map(|_| Some(&[][..])),
            1 => self.octets(8).map(|_| Some(&[][..])),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| FrameError::Malformed)?;
                self.octets(length).map(Some)
            }
            5 => self.octets(4).map(|_| Some(&[][..])),
            // Groups (3, 4) went with proto2; nothing we or our neighbours publish has them.
            _ => Err(FrameError::Malformed),
        }
    }

    fn varint(&mut self) -> Result<u64, FrameError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&octet, rest) = self.0.split_first().ok_or(FrameError::Malformed)?;
            self.0 = rest;
            value |= u64::from(octet & 0x7f) << shift;
            if octet < 0x80 {
                return Ok(value);
            }
        }
        Err(FrameError::Malformed)
    }

    fn octets(&mut self, length: usize) -> Result<&'a [u8], FrameError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(FrameError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }
}

fn check_limits(frame: &Frame) -> Result<(), FrameError> {
    let virtual_server = |found: &VirtualServer| {
        check_string(&found.name)?;
        check_string(&found.reason)
    };
    match &frame.body {
        None | Some(Body::Ping(_) | Body::Pong(_)) => Ok(()),
        Some(Body::Hello(hello)) => {
            check_string(&hello.node)?;
            check_string(&hello.software)
        }
        Some(Body::Inventory(inventory)) => {
            check_string(&inventory.server)?;
            check_elements(inventory.virtual_servers.len())?;
            inventory.virtual_servers.iter().try_for_each(virtual_server)
        }
        Some(Body::Change(change)) => {
            check_string(&change.server)?;
            check_elements(change.virtual_servers.len())?;
            change.virtual_servers.iter().try_for_each(virtual_server)
        }
        Some(Body::Measures(measures)) => {
            check_string(&measures.server)?;
            check_elements(measures.virtual_servers.len())?;
            measures.virtual_servers.iter().try_for_each(|measured| check_string(&measured.name))
        }
        Some(Body::Goodbye(goodbye)) => check_string(&goodbye.reason),
    }
}

fn check_string(text: &str) -> Result<(), FrameError> {
    if text.len() > STRING_LENGTH_MAX { Err(FrameError::StringTooLong(text.len())) } else { Ok(()) }
}

fn check_elements(count: usize) -> Result<(), FrameError> {
    if count > ELEMENTS_MAX { Err(FrameError::TooManyElements(count)) } else { Ok(()) }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(length) => write!(f, "a frame of {length} octets; at most {FRAME_LENGTH_MAX} are taken"),
            Self::Malformed => f.write_str("a frame that is no protobuf message of the mesh"),
            Self::TooManyElements(count) => {
                write!(f, "a frame that lists {count} virtual servers; at most {ELEMENTS_MAX} are taken")
            }
            Self::StringTooLong(length) => {
                write!(f, "a string of {length} octets; at most {STRING_LENGTH_MAX} are taken")
            }
        }
    }
}

impl std::error::Error for FrameError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mesh::proto::{Change, Goodbye, Inventory, Ping};

    fn ping(id: u64) -> Body {
        Body::Ping(Ping { id, unix_millis: 0 })
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        let mut octets = u32::try_from(message.len()).unwrap().to_be_bytes().to_vec();
        octets.extend(message);
        octets
    }

    #[test]
    fn frames_come_out_whole_however_the_stream_is_cut() {
        let stream = [encode(ping(1)).unwrap(), encode(ping(300)).unwrap()].concat();
        for size in 1..=stream.len() {
            let mut decoder = Decoder::new();
            let mut frames = Vec::new();
            for piece in stream.chunks(size) {
                decoder.push(piece);
                while let Some(frame) = decoder.take().unwrap() {
                    frames.push(frame.body);
                }
            }
            assert_eq!(frames, [Some(ping(1)), Some(ping(300))], "pieces of {size}");
        }
    }

    #[test]
    fn a_hostile_length_is_refused_before_its_octets_are_held() {
        let mut decoder = Decoder::new();
        decoder.push(&[0xff, 0xff, 0xff, 0xff]);
        assert_eq!(decoder.take(), Err(FrameError::TooLong(0xffff_ffff)));
        assert!(decoder.buffer.capacity() < 64);
    }

    #[test]
    fn two_octets_per_element_cannot_ask_for_megabytes() {
        // Field 2 of Frame (an inventory) filled with 100,000 empty virtual servers: 200 kB on the wire, 20 MB decoded.
        let mut body = Vec::new();
        (0..100_000).for_each(|_| body.extend([0x32, 0x00]));
        let mut message = vec![0x12];
        prost::encode_length_delimiter(body.len(), &mut message).unwrap();
        message.extend(body);
        let mut decoder = Decoder::new();
        decoder.push(&framed(&message));
        assert_eq!(decoder.take(), Err(FrameError::TooManyElements(100_001)));
        // The same in two bodies, which protobuf merges into one.
        let half = Frame {
            body: Some(Body::Change(Change { virtual_servers: vec![Default::default(); 3_000], ..Default::default() })),
        };
        let mut decoder = Decoder::new();
        decoder.push(&framed(&[half.encode_to_vec(), half.encode_to_vec()].concat()));
        assert_eq!(decoder.take(), Err(FrameError::TooManyElements(6_002)));
    }

    #[test]
    fn limits_are_the_last_value_taken() {
        let list = |count| {
            let virtual_servers = vec![Default::default(); count];
            Frame { body: Some(Body::Inventory(Inventory { virtual_servers, ..Default::default() })) }
        };
        assert!(check_limits(&list(ELEMENTS_MAX)).is_ok());
        assert_eq!(check_limits(&list(ELEMENTS_MAX + 1)), Err(FrameError::TooManyElements(ELEMENTS_MAX + 1)));
        let words = |length| Frame { body: Some(Body::Goodbye(Goodbye { reason: "x".repeat(length) })) };
        assert!(check_limits(&words(STRING_LENGTH_MAX)).is_ok());
        assert_eq!(check_limits(&words(STRING_LENGTH_MAX + 1)), Err(FrameError::StringTooLong(STRING_LENGTH_MAX + 1)));
        let long = Body::Goodbye(Goodbye { reason: "x".repeat(FRAME_LENGTH_MAX) });
        assert!(matches!(encode(long), Err(FrameError::TooLong(_))));
    }

    proptest! {
        #[test]
        fn arbitrary_octets_never_panic_and_hold_one_frame_at_most(octets: Vec<u8>, size in 1_usize..64) {
            let mut decoder = Decoder::new();
            for piece in octets.chunks(size) {
                decoder.push(piece);
                while let Ok(Some(_)) = decoder.take() {}
                prop_assert!(decoder.held() <= PREFIX_LENGTH + FRAME_LENGTH_MAX + size);
            }
        }

        #[test]
        fn arbitrary_messages_never_panic(message in proptest::collection::vec(any::<u8>(), 0..400), kind in 1_u8..8) {
            let mut whole = vec![(kind << 3) | 2];
            prost::encode_length_delimiter(message.len(), &mut whole).unwrap();
            whole.extend(&message);
            if let Ok(frame) = decode(&whole) {
                prop_assert!(frame.encoded_len() <= 2 * whole.len() + 16);
            }
        }
    }
}
