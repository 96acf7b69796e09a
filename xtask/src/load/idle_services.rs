//! `idle_services`: threads that wait on futex, epoll, sleep and pipes, and do nothing; waiting is no fault.

use std::{
    io::{PipeReader, PipeWriter, Read as _},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use anyhow::Result;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollTimeout};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Load, check_as,
    ground::{Ground, Stop},
    settings_of,
};

pub(super) const LOAD: Load = Load { name: "idle_services", check: check_as::<Settings>, run };

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    threads: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { threads: 200 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    let never = Arc::new((Mutex::new(()), Condvar::new()));
    // The pipes' writing ends, kept so that their readers wait and do not see an end.
    let mut writers: Vec<PipeWriter> = Vec::new();
    for number in 0..settings.threads {
        let stop = ground.stop();
        match number % 4 {
            0 => {
                let never = Arc::clone(&never);
                thread::spawn(move || wait_on_futex(&stop, &never));
            }
            1 => _ = thread::spawn(move || wait_on_epoll(&stop)),
            2 => {
                _ = thread::spawn(move || {
                    while !stop.over() {
                        thread::sleep(Duration::from_secs(1))
                    }
                })
            }
            _ => {
                let (reader, writer) = std::io::pipe()?;
                writers.push(writer);
                thread::spawn(move || wait_on_pipe(reader));
            }
        }
    }
    ground.started(&[])?;
    while !ground.stop().nap(Duration::from_millis(500)) {
        ground.report(|_| json!({ "threads": settings.threads }))?;
    }
    drop(writers);
    Ok(())
}

fn wait_on_futex(stop: &Stop, never: &(Mutex<()>, Condvar)) {
    while !stop.over() {
        let Ok(guard) = never.0.lock() else { return };
        drop(never.1.wait_timeout(guard, Duration::from_secs(5)));
    }
}

fn wait_on_epoll(stop: &Stop) -> Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    while !stop.over() {
        // A signal wakes it early; it waits again.
        let _ = epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::try_from(Duration::from_secs(5))?);
    }
    Ok(())
}

/// Until its writer goes.
fn wait_on_pipe(mut reader: PipeReader) {
    let _ = reader.read(&mut [0]);
}
