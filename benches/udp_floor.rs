//! What a UDP answer costs at least, and what our listener and our answers add: `cargo bench --bench udp_floor`.
//!
//! Everything runs in this process: servers on core 0, the generator on core 1, in turn, several rounds. Without
//! `--bench` (as `cargo test --benches` calls it) one short round runs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops at what it did not expect")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

mod support;

use std::time::Duration;

use fairlead::answer::{self, AnswerSource, CookieOutcome, Outcome};
use fairlead::wire::Rcode;
use support::{cpu, data, echo::Echo, generator, node, table, table::Figures};

const NAMES: usize = 10_000;
const WINDOW: usize = 256;

fn main() {
    let smoke = !std::env::args().any(|argument| argument == "--bench");
    let (rounds, duration) = if smoke { (1, Duration::from_millis(50)) } else { (5, Duration::from_secs(1)) };
    let queries = generator::Queries::new(data::mixed(NAMES));
    cpu::pin(0);
    let text = data::master_file(NAMES);
    let snapshot = || node::snapshot(node::zone(&text));
    let cores = cpu::cores();
    let mut figures = Figures::default();
    for _ in 0..rounds {
        let mut measure = |server, thread: &str, address| {
            cpu::pin(usize::from(cores > 1));
            let before = cpu::thread(thread);
            let load = generator::run(address, &queries, WINDOW, duration);
            figures.add(server, cpu::thread(thread).since(before), &load);
            assert_eq!((load.lost, load.unexpected), (0, 0), "{server}");
            cpu::pin(0);
        };
        let echo = Echo::start();
        measure("echo", "echo", echo.address);
        drop(echo);
        for (what, address, respond) in [
            ("listener, echo", "127.0.0.1:0", echo_respond as fairlead::listener::Respond),
            ("listener on a wildcard, echo", "0.0.0.0:0", echo_respond),
            ("listener, answers", "127.0.0.1:0", answer::respond),
        ] {
            let (listeners, served) = node::start(address, snapshot(), respond);
            measure(what, "udp-0", served);
            listeners.stop();
        }
    }
    println!("{}", table::machine());
    figures.print();
}

/// The query with QR set: no work at all.
fn echo_respond(
    _: &answer::Snapshot,
    _: &mut answer::Worker,
    packet: &[u8],
    _: std::net::SocketAddr,
    _: answer::Transport,
    out: &mut [u8],
) -> Outcome {
    out[..packet.len()].copy_from_slice(packet);
    out[2] |= 0x80;
    Outcome {
        length: packet.len(),
        rcode: Rcode::NOERROR,
        record_type: None,
        source: AnswerSource::None,
        truncated: false,
        silence: None,
        decision: None,
        signature: None,
        cookie: CookieOutcome::None,
        extended_error: None,
        hand_off: false,
        limited: None,
        limit: None,
    }
}
