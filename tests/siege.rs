//! The load of `cargo bench --bench siege`, small enough to run with the other tests: idle and slow streams and a flood
//! from forged addresses take nothing from a client that behaves.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up shall fail")]

mod support;

use std::fs;
use std::time::Duration;

use support::load::{self, Plan};
use support::server::{fairlead_at, free_port, metric};

#[test]
fn a_client_that_behaves_gets_every_answer_under_a_load_that_means_harm() {
    load::raise_limit();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("example.zone"), load::zone()).unwrap();
    let admin = free_port();
    let server = fairlead_at(folder.path(), free_port(), admin, load::CONFIGURATION, "example.");
    let plan = Plan {
        idle: 1000,
        slow_readers: 20,
        slow_writers: 20,
        flood_per_second: 5000,
        client_per_second: 200,
        duration: Duration::from_secs(3),
    };
    let figures = load::run(server.address, &plan);
    assert_eq!(figures.answered, figures.asked, "{figures:?}");
    assert_eq!(figures.idle_served, plan.idle, "{figures:?}");
    assert!(figures.flood_per_second > 500.0 && figures.writers_ended > 10, "{figures:?}");
    assert!(metric(admin, r#"fairlead_limit_hits_total{limit="tcp_first_message"}"#) > 10.0);
    assert!(metric(admin, r#"fairlead_limit_hits_total{limit="rate_limit"}"#) > 100.0);
}
