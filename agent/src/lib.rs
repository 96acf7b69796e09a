//! KernelSight: the agent that watches a Linux node through eBPF, says why it degrades, and takes the mildest
//! action that helps.
//!
//! The modules stand in the order of the loop; an arrow never runs backwards.
//!
//! ```text
//! observe ─► explain ─► simulate ─► decide ─► execute ─► verify ─► reflect
//!    │                                           │                    │
//!    └────────────── store (one writer) ◄────────┴────────────────────┘
//!                      ▲
//!          tools ◄─ serve ◄─ cli          (a client, like any other)
//! ```

pub mod agent;
mod allocator;
pub mod clock;
pub mod config;
pub mod live;
mod lock;
mod policies;
pub mod redact;
pub mod text;

pub mod observe;

pub mod explain;

pub mod simulate;

pub mod decide;

pub mod execute;

pub mod verify;

pub mod reflect;

pub mod store;

pub mod tools;

pub mod mind;

pub mod llm;

pub mod reason;

pub mod serve;

pub mod cli;
