//! The iQuery role: DNS nodes and agents talk health over mutual TLS on TCP 4353.
//!
//! A frame's way in: `session` reads octets → `frame` cuts and bounds them → [`Peer`] decides → `inbound` makes facts →
//! the publisher. A report's way out: the agent publishes a [`Report`] → `outbound` finds what differs → [`Peer`] →
//! `session` writes. `dialer` and `acceptor` own the sockets, `tls` and `verify` the handshake, `credentials` and
//! [`trust`] the files, `states` what people and metrics see of it all.
//!
//! An agent reports for its own server. A DNS node with an address reports too: what its own monitors see of each
//! `server/virtual-server`, one vote beside those of the nodes that dial it. Two nodes that dial each other hold two
//! sessions, one for each direction.
//!
//! # Invariants
//! - The peer state machine has no sockets and no clock; it is driven by frames and moments.
//! - A peer is believed only for what its certificate names; frames are bounded and hostile until parsed.
//! - Losing a session loses no verdict: it ages.

mod acceptor;
mod certificate;
mod clock;
mod credentials;
mod dialer;
mod error;
pub mod frame;
#[cfg(test)]
mod handshake_tests;
mod identity;
mod inbound;
mod outbound;
pub mod peer;
#[cfg(test)]
mod peer_tests;
pub mod proto;
mod report;
mod session;
#[cfg(test)]
mod session_tests;
mod settings;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod socket_tests;
mod states;
mod tls;
mod traffic;
pub mod trust;
mod verify;
pub mod words;

pub use acceptor::{Acceptor, AcceptorContext};
pub use certificate::Certificate;
pub use clock::Clock;
pub use credentials::{CredentialFiles, Credentials};
pub use dialer::{BackOff, Dialer, DialerContext};
pub use error::{LinkError, Refusal};
pub use identity::{Identity, IdentityError, Role};
pub use inbound::{FrameRefusal, Progress};
pub use outbound::Sequence;
pub use peer::{Local, Peer, VERSIONS};
pub use report::{Host, Report, VirtualServerReport};
pub use settings::{PeerAddress, Settings};
pub use states::{Counters, MeshStatus, OwnCertificate, PeerStates, PeerStatus};
