//! `sockets`: `/proc/net/sockstat` and `sockstat6`.

use super::{Context, Document, KernelFile, Scrape, ScrapeError, Scraped, Source};
use crate::observe::{Sample, sample::Sockets};

pub const SOURCE: Source = Source {
    name: "sockets",
    start: || {
        Box::new(SocketsSource {
            file: KernelFile::kept("/proc/net/sockstat"),
            file6: KernelFile::kept("/proc/net/sockstat6"),
        })
    },
};

#[derive(Debug)]
struct SocketsSource {
    file: KernelFile,
    file6: KernelFile,
}

impl Scrape for SocketsSource {
    fn scrape(&mut self, context: &mut Context, sample: &mut Sample) -> Result<Scraped, ScrapeError> {
        let mut sockets = parse(self.file.read(&mut context.buffer)?)?;
        match self.file6.read(&mut context.buffer) {
            Ok(document) => {
                let (tcp, udp) = parse_v6(document)?;
                sockets.tcp_in_use += tcp;
                sockets.udp_in_use += udp;
            }
            // A kernel without IPv6 has no sockets of it.
            Err(error) if error.is_off() => {}
            Err(error) => return Err(error),
        }
        sample.node.sockets = Some(sockets);
        Ok(Scraped::Whole)
    }
}

/// The text of `/proc/net/sockstat`: IPv4, and what both share.
pub fn parse(document: Document<'_>) -> Result<Sockets, ScrapeError> {
    let [used] = value(document, "sockets:", ["used"])?;
    let [tcp_in_use, tcp_orphan, tcp_time_wait, tcp_memory_pages] =
        value(document, "TCP:", ["inuse", "orphan", "tw", "mem"])?;
    let [udp_in_use] = value(document, "UDP:", ["inuse"])?;
    Ok(Sockets { used, tcp_in_use, tcp_orphan, tcp_time_wait, tcp_memory_pages, udp_in_use })
}

/// TCP and UDP sockets in use, by the text of `/proc/net/sockstat6`.
pub fn parse_v6(document: Document<'_>) -> Result<(u64, u64), ScrapeError> {
    let ([tcp], [udp]) = (value(document, "TCP6:", ["inuse"])?, value(document, "UDP6:", ["inuse"])?);
    Ok((tcp, udp))
}

/// The values of a line `PROTOCOL: key value key value …`.
fn value<const N: usize>(
    document: Document<'_>,
    protocol: &'static str,
    keys: [&'static str; N],
) -> Result<[u64; N], ScrapeError> {
    let of_protocol = |line: &super::Line<'_>| line.fields().next().is_some_and(|f| f.text == protocol.as_bytes());
    let line = document.lines().find(of_protocol).ok_or_else(|| document.missing(protocol))?;
    let mut values = [0; N];
    for (slot, key) in values.iter_mut().zip(keys) {
        let mut fields = line.fields();
        fields.find(|field| field.text == key.as_bytes()).ok_or_else(|| line.is_not(key))?;
        *slot = fields.number()?;
    }
    Ok(values)
}
