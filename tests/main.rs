//! Every test of the agent: one binary, one module a part.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod docket;
mod store;
mod store_bounds;
mod store_crash;
mod store_histogram;
mod store_opening;
mod store_rows;
mod store_story;
