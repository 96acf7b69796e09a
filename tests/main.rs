//! Every test of the agent: one binary, one module a part.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod classify;
mod classify_faults;
mod classify_gate;
mod classify_machine;
mod classify_thresholds;
mod cli;
mod cli_eyes;
mod docket;
mod door;
mod door_guard;
mod door_support;
mod execute;
mod execute_sandbox;
mod execute_support;
mod hostile;
mod kernel_child;
mod kernel_counters;
mod kernel_decode;
mod kernel_events;
mod kernel_load;
mod kernel_tasks;
mod policy;
mod scrape_live;
mod scrape_parsers;
mod store;
mod store_bounds;
mod store_crash;
mod store_histogram;
mod store_opening;
mod undo;
