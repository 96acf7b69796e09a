//! `interfaces`: `/proc/net/dev`, and each one's state and speed from `/sys/class/net`.

use std::collections::HashMap;

use super::{Context, Document, KernelFile, Scrape, ScrapeError, Scraped, Source};
use crate::{
    observe::{Sample, sample::Interface},
    text::Text,
};

pub const SOURCE: Source = Source {
    name: "interfaces",
    start: || {
        let file = KernelFile::kept("/proc/net/dev");
        Box::new(InterfacesSource { file, links: HashMap::new(), next: 0 })
    },
};

/// Links whose state is looked at in one tick; a node of many virtual interfaces takes turns.
const STATES_PER_TICK: usize = 1;
/// The speed asks the driver, under the kernel's network lock: seldom.
const SPEED_EVERY_LOOKS: u32 = 60;

#[derive(Debug)]
struct InterfacesSource {
    file: KernelFile,
    links: HashMap<Text, Link>,
    /// Whose turn it is.
    next: usize,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    up: bool,
    speed_mbit: Option<u32>,
    looks: u32,
}

impl Scrape for InterfacesSource {
    fn scrape(&mut self, context: &mut Context, sample: &mut Sample) -> Result<Scraped, ScrapeError> {
        let mut interfaces = parse(self.file.read(&mut context.buffer)?)?;
        self.links.retain(|name, _| interfaces.iter().any(|interface| interface.name == *name));
        let count = interfaces.len();
        for (at, interface) in interfaces.iter_mut().enumerate() {
            let turn = (at + count - self.next % count) % count < STATES_PER_TICK;
            let known = self.links.get(&interface.name).copied();
            let link = match known {
                Some(link) if !turn => link,
                known => look(&interface.name, known, &mut context.buffer),
            };
            self.links.insert(interface.name.clone(), link);
            (interface.up, interface.speed_mbit) = (link.up, link.speed_mbit);
        }
        self.next = (self.next + STATES_PER_TICK) % count.max(1);
        sample.node.interfaces = interfaces;
        Ok(Scraped::Whole)
    }
}

/// The text of `/proc/net/dev`: two lines of headings, then `name: 8 received 8 sent`.
pub fn parse(document: Document<'_>) -> Result<Vec<Interface>, ScrapeError> {
    document
        .lines()
        .skip(2)
        .map(|line| {
            let colon = line.text.iter().position(|byte| *byte == b':').ok_or_else(|| line.is_not("an interface"))?;
            let mut counters = [0u64; 12];
            let mut fields = line.fields_of(&line.text[colon + 1..]);
            for counter in &mut counters {
                *counter = fields.number()?;
            }
            let [
                received_bytes,
                received_packets,
                received_errors,
                received_dropped,
                _,
                _,
                _,
                _,
                sent_bytes,
                sent_packets,
                sent_errors,
                sent_dropped,
            ] = counters;
            Ok(Interface {
                name: Text::from_bytes(line.text[..colon].trim_ascii()),
                up: false,
                speed_mbit: None,
                received_bytes,
                received_packets,
                received_errors,
                received_dropped,
                sent_bytes,
                sent_packets,
                sent_errors,
                sent_dropped,
            })
        })
        .collect()
}

/// A name that was escaped cannot be looked up, and a link that is gone is down.
fn look(name: &Text, known: Option<Link>, buffer: &mut Vec<u8>) -> Link {
    let mut link = known.unwrap_or(Link { up: false, speed_mbit: None, looks: 0 });
    if !name.is_plain() || name.as_str().contains('/') || name.as_str().starts_with('.') {
        return link;
    }
    let was_up = link.up;
    link.up = is_up(name, buffer);
    if link.looks.is_multiple_of(SPEED_EVERY_LOOKS) || link.up != was_up {
        link.speed_mbit = speed(name, buffer);
    }
    link.looks += 1;
    link
}

/// Loopback and some tunnels do not keep a state (`unknown`): they are up when an administrator has put them up.
fn is_up(name: &Text, buffer: &mut Vec<u8>) -> bool {
    const IFF_UP: u64 = 1;
    let state = attribute(name, "operstate", buffer, |document| document.line().ok().map(|line| line.text.to_vec()));
    match state.as_deref() {
        Some(b"up") => true,
        Some(b"unknown") => attribute(name, "flags", buffer, |document| {
            let hex = document.line().ok()?.text.strip_prefix(b"0x")?.trim_ascii();
            u64::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
        })
        .is_some_and(|flags| flags & IFF_UP != 0),
        _ => false,
    }
}

/// None where the driver does not tell: `-1`, or an error.
fn speed(name: &Text, buffer: &mut Vec<u8>) -> Option<u32> {
    attribute(name, "speed", buffer, |document| document.line().ok()?.fields().number::<i64>().ok())
        .and_then(|mbit| u32::try_from(mbit).ok())
        .filter(|mbit| *mbit > 0)
}

fn attribute<T>(
    name: &Text,
    attribute: &str,
    buffer: &mut Vec<u8>,
    read: impl FnOnce(Document<'_>) -> Option<T>,
) -> Option<T> {
    let mut file = KernelFile::once(format!("/sys/class/net/{name}/{attribute}"));
    file.read(buffer).ok().and_then(read)
}
