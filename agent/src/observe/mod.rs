//! Observe: what the kernel and `/proc` say, turned into signals. Every event is read; nothing here decides.

pub mod changes;
pub mod classify;
pub mod comm;
pub mod entity;
pub mod event;
pub mod history;
pub mod kernel;
pub mod logs;
pub mod offsets;
pub mod ring;
pub mod sample;
pub mod scrape;
pub mod signal;
mod space;
pub mod syscall_name;
mod tracks;
pub mod waits;
pub mod window;

pub use entity::{Entity, ProcessId};
pub use event::Event;
pub use history::History;
pub use sample::Sample;
pub use signal::{Numbers, Reading, Severity, Signal, SignalType};
pub use window::Window;

use window::Tick;

/// All that a later room may look at, at one instant. Lent, never kept.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub window: &'a Window,
    pub history: &'a History,
    /// The signals that are open now.
    pub signals: &'a [Signal],
}

impl View<'_> {
    /// The newest tick, if there was one.
    #[must_use]
    pub fn now(&self) -> Option<&Tick> {
        self.window.now()
    }
}
