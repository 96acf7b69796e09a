//! One file a tracer. Their user half is `agent/src/observe/kernel`.

mod block_io;
mod empty;
mod memory;
mod page_faults;
mod reference;
mod scheduler;
mod sockets;
mod syscalls;
mod tasks;
