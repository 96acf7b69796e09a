//! When system calls are watched: a moment now and then, and all the time while something asks for it.
//!
//! With a program at them the kernel takes its slow path for every call of everybody, 100 to 200 ns each: a node that
//! makes a million calls a second would pay a sixth of a CPU for it. A moment tells rates as well as a second does.
//! What is rare or slow is seen once a first sign of it, or the wait that it causes, asks for every call.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{task::spawn_blocking, time::Instant};

use crate::{config::WatchCalls, observe::kernel::Kernel};

/// How long a moment is, and how long nobody looks between two: a twentieth of the time. Together they are no multiple
/// of a second, so that what happens once a second does not always fall between two moments.
const MOMENT: Duration = Duration::from_millis(250);
const REST: Duration = Duration::from_millis(4_700);

/// The kernel half, which a tick reads and which another thread attaches programs of, for that can take a while.
#[derive(Clone, Debug)]
pub(super) struct Shared(Arc<Mutex<Kernel>>);

impl Shared {
    pub(super) fn new(kernel: Kernel) -> Self {
        Self(Arc::new(Mutex::new(kernel)))
    }

    /// What panicked while it read left nothing half done.
    pub(super) fn lock(&self) -> MutexGuard<'_, Kernel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(super) struct CallWatch {
    kernel: Shared,
    mode: WatchCalls,
    /// Whether they are watched, as soon as the thread that attaches gets to it.
    is_on: Arc<AtomicBool>,
    asked: bool,
    turns_at: Instant,
}

impl CallWatch {
    /// Of a kernel that was just loaded, where they are watched.
    pub(super) fn new(kernel: Shared, mode: WatchCalls) -> Self {
        Self { kernel, mode, is_on: Arc::new(AtomicBool::new(true)), asked: false, turns_at: Instant::now() + MOMENT }
    }

    /// Begins or ends what is due, and says when to come again at the latest. Within a tokio runtime.
    pub(super) fn turn(&mut self, asked: bool) -> Instant {
        let now = Instant::now();
        let was_on = self.is_on.load(Ordering::Relaxed);
        let is_due = now >= self.turns_at;
        let asked = asked || self.mode == WatchCalls::Always;
        let on = asked || was_on != is_due;
        // What could not be attached is tried again while it is asked for.
        if on != was_on || (on && is_due) {
            self.is_on.store(on, Ordering::Relaxed);
            let (kernel, is_on) = (self.kernel.clone(), Arc::clone(&self.is_on));
            // Whichever of two comes last does what is wanted last.
            spawn_blocking(move || kernel.lock().watch_calls(is_on.load(Ordering::Relaxed)));
        }
        if on != was_on || asked != self.asked || is_due {
            self.turns_at = now + if on && !asked { MOMENT } else { REST };
        }
        self.asked = asked;
        self.turns_at
    }
}
