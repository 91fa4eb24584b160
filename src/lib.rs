//! Fairlead: an authoritative DNS server that steers traffic.
//!
//! The modules below are in dependency order: each imports only modules named before it (`tests/tidy.rs` holds the
//! table and fails when an arrow points up). Two straight lines run through them.
//!
//! **A query.** `listener` receives a batch of packets and loads the snapshot once → [`answer::respond`] for each →
//! `wideip` decides when a wide IP owns the (name, type), else `zone` looks the name up, else the answer is negative
//! with an SOA → the replies leave in one batch.
//!
//! **A health fact.** A probe result (`monitor`) or a mesh frame (`mesh`) becomes a `status::Fact` → one bounded
//! channel → `app::publisher`, the only writer, merges it, recomputes the pools it touches and stores one new snapshot
//! → the next batch of queries sees it whole.

#![forbid(unsafe_code)]

pub mod admin;
pub mod agent;
pub mod answer;
pub mod app;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod journal;
pub mod listener;
pub mod mesh;
pub mod metrics;
pub mod monitor;
pub mod status;
pub mod topology;
pub mod transfer;
pub mod update;
pub mod wideip;
pub mod wire;
pub mod zone;
