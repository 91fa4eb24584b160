//! What one client, and all of them together, may cost the admin server.

use std::time::Duration;

/// The limits of the admin server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections open at once; more wait in the kernel's queue.
    pub connections: usize,
    /// The longest request head, in bytes.
    pub head_size_max: usize,
    /// The longest request body, in bytes.
    pub body_size_max: usize,
    /// How long a request head may take to come in; also how long a connection may stay idle.
    pub head_timeout: Duration,
    /// How long a connection may live; bounds what a client that reads slowly can hold.
    pub lifetime: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 100,
            head_size_max: 16 * 1024,
            body_size_max: 2 * 1024 * 1024,
            head_timeout: Duration::from_secs(5),
            lifetime: Duration::from_secs(60),
        }
    }
}
