//! The kernel half: one file a tracer under `probes`, and the types that both sides share in [`wire`] and
//! [`constants`].
//!
//! Built for `bpf` this is the whole object; built for the host it is only those.

#![cfg_attr(target_arch = "bpf", no_std, feature(asm_experimental_arch))]
#![expect(unsafe_code, reason = "eBPF programs read kernel memory, and wire types vouch for their own bytes")]

pub mod constants;
pub mod wire;

#[cfg(target_arch = "bpf")]
mod kernel;
#[cfg(target_arch = "bpf")]
mod probes;
#[cfg(target_arch = "bpf")]
mod ring;
