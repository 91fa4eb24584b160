//! `fairlead serve` and `fairlead agent`: until they are told to stop.

use super::args::ServeArgs;
#[cfg(target_env = "gnu")]
use super::heap;
use super::log;
use crate::app::agent::Agent;
use crate::app::clock::Clock;
use crate::app::{Node, descriptors, tasks};

/// Serves DNS.
pub(super) fn node(args: &ServeArgs) -> Result<(), String> {
    log::start(&args.log.log, args.log.log_format)?;
    #[cfg(target_env = "gnu")]
    heap::tune();
    let clock = Clock::start();
    let config = crate::app::load(&args.config)?;
    run(async {
        let node = Node::start(&args.config, config, clock).map_err(|error| error.to_string())?;
        let stop = tasks::stop_signal()?;
        node.run_until(stop).await.map_err(|error| error.to_string())
    })
}

/// Reports a load balancer's virtual servers.
pub(super) fn agent(args: &ServeArgs) -> Result<(), String> {
    log::start(&args.log.log, args.log.log_format)?;
    let clock = Clock::start();
    let settings = crate::config::load_agent(&args.config).map_err(|errors| errors.to_string())?;
    run(async {
        let agent = Agent::start(&settings, clock).await.map_err(|error| error.to_string())?;
        let stop = tasks::stop_signal()?;
        agent.run_until(stop).await.map_err(|error| error.to_string())
    })
}

/// Runs a process's tasks on two threads: queries have threads of their own. On one where there is but one core: two would
/// wake each other to no end, and what takes long does not run among the others.
pub(super) fn run<T>(future: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    descriptors::raise_limit();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = builder.worker_threads(cores.min(2)).enable_all().build();
    runtime.map_err(|error| format!("starting the runtime: {error}"))?.block_on(future)
}
