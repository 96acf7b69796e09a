//! What the information actions print. They run in the executor like every other action: text of strangers is parsed
//! by somebody who can do nothing.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    thread,
    time::Duration,
};

use comfy_table::{Table, presets};

use super::holdings;
use crate::{
    execute::{command::Check, process::Stat},
    text::Text,
};

/// Between the two looks that a rate is told from.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);
/// Most of one file that is printed, bytes.
const PRINT_MAX: u64 = 15 << 10;
/// Rows of a table of devices, interfaces or waiting processes.
const ROWS_MAX: usize = 40;
/// Bytes of a sector of `/proc/diskstats`, whatever the device.
const SECTOR_BYTES: u64 = 512;
/// Names of the states of `/proc/net/tcp`, from 1.
pub(super) const TCP_STATES: [&str; 12] = [
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
];

/// The largest processes, as a table.
pub(super) fn top_memory(count: u32) -> io::Result<String> {
    let page_bytes = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?.unwrap_or(4096) as u64;
    let measured = processes()?.into_iter().map(|(pid, stat)| (stat.rss_pages * page_bytes, pid, stat)).collect();
    Ok(top("resident MiB", measured, |bytes| format!("{:.1}", bytes as f64 / 1_048_576.0), count))
}

/// The processes that used the most CPU over one second.
pub(super) fn top_cpu(count: u32) -> io::Result<String> {
    let key = |pid: u32, stat: &Stat| (pid, stat.start_ticks);
    let before: HashMap<_, u64> =
        processes()?.into_iter().map(|(pid, stat)| (key(pid, &stat), stat.cpu_ticks)).collect();
    thread::sleep(INTERVAL);
    let since =
        |pid, stat: &Stat| stat.cpu_ticks.saturating_sub(*before.get(&key(pid, stat)).unwrap_or(&stat.cpu_ticks));
    let measured = processes()?.into_iter().map(|(pid, stat)| (since(pid, &stat), pid, stat)).collect();
    // Ticks are hundredths of a second, and the interval is a second.
    Ok(top("CPU % of one", measured, |ticks| ticks.to_string(), count))
}

fn top(what: &str, mut measured: Vec<(u64, u32, Stat)>, show: impl Fn(u64) -> String, count: u32) -> String {
    measured.sort_by_key(|(measure, pid, _)| (std::cmp::Reverse(*measure), *pid));
    let mut table = plain(&["pid", what, "nice", "state", "name"]);
    for (measure, pid, stat) in measured.into_iter().take(count as usize) {
        let (nice, state) = (stat.nice.to_string(), stat.state.to_string());
        table.add_row([pid.to_string(), show(measure), nice, state, stat.comm.to_string()]);
    }
    table.to_string()
}

/// A file of the kernel as it is, up to a bound.
pub(super) fn cat(path: &str) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(PRINT_MAX).read_to_string(&mut text)?;
    Ok(text.trim_end().to_owned())
}

/// One of the tables of what the kernel counts.
pub(super) fn check(what: Check) -> io::Result<String> {
    match what {
        Check::IoActivity => io_activity(),
        Check::NetworkStats => network_stats(),
        Check::TcpStats => tcp_stats(),
        Check::Swap => swap(),
        Check::Sockets => holdings::sockets(),
        Check::Mounts => holdings::mounts(),
    }
}

fn io_activity() -> io::Result<String> {
    let read = || -> io::Result<HashMap<String, Vec<u64>>> {
        Ok(fs::read_to_string("/proc/diskstats")?.lines().filter_map(|line| named_numbers(line, 2)).collect())
    };
    let before = read()?;
    thread::sleep(INTERVAL);
    let mut table = plain(&["device", "reads/s", "read KiB/s", "writes/s", "written KiB/s", "in flight", "busy %"]);
    let mut devices: Vec<_> = read()?.into_iter().collect();
    devices.sort();
    for (name, now) in devices {
        let Some(then) = before.get(&name).filter(|then| then.len() >= 11 && now.len() >= 11) else { continue };
        let since = |field: usize| now[field].saturating_sub(then[field]);
        if since(0) + since(4) + now[8] == 0 || table.row_count() == ROWS_MAX {
            continue;
        }
        table.add_row([
            Text::from(name.as_str()).to_string(),
            since(0).to_string(),
            (since(2) * SECTOR_BYTES / 1024).to_string(),
            since(4).to_string(),
            (since(6) * SECTOR_BYTES / 1024).to_string(),
            now[8].to_string(),
            (since(9) / 10).to_string(),
        ]);
    }
    let mut said = if table.is_empty() { "no block device did anything".to_owned() } else { table.to_string() };
    if let Ok(pressure) = fs::read_to_string("/proc/pressure/io") {
        said.push_str(&format!("\n\nI/O pressure\n{}", pressure.trim_end()));
    }
    let mut waiting = plain(&["pid", "waits in the kernel"]);
    for (pid, stat) in processes()?.into_iter().filter(|(_, stat)| stat.state == 'D').take(ROWS_MAX) {
        waiting.add_row([pid.to_string(), stat.comm.to_string()]);
    }
    if !waiting.is_empty() {
        said.push_str(&format!("\n\n{waiting}"));
    }
    Ok(said)
}

fn network_stats() -> io::Result<String> {
    let read = || -> io::Result<HashMap<String, Vec<u64>>> {
        let text = fs::read_to_string("/proc/net/dev")?;
        Ok(text.lines().filter_map(|line| named_numbers(&line.replacen(':', " ", 1), 0)).collect())
    };
    let before = read()?;
    thread::sleep(INTERVAL);
    let mut table = plain(&[
        "interface",
        "received KiB/s",
        "packets/s",
        "errors",
        "dropped",
        "sent KiB/s",
        "packets/s",
        "errors",
        "dropped",
    ]);
    let mut interfaces: Vec<_> = read()?.into_iter().collect();
    interfaces.sort();
    for (name, now) in interfaces.into_iter().take(ROWS_MAX) {
        let Some(then) = before.get(&name).filter(|then| then.len() >= 12 && now.len() >= 12) else { continue };
        let since = |field: usize| now[field].saturating_sub(then[field]);
        let mut row = vec![Text::from(name.as_str()).to_string()];
        for base in [0, 8] {
            row.push((since(base) / 1024).to_string());
            row.extend([since(base + 1), now[base + 2], now[base + 3]].map(|number| number.to_string()));
        }
        table.add_row(row);
    }
    Ok(table.to_string())
}

fn tcp_stats() -> io::Result<String> {
    let mut states = [0u64; TCP_STATES.len()];
    for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let Ok(file) = File::open(path) else { continue };
        for line in BufReader::new(file).lines().skip(1) {
            let line = line?;
            let state = line.split_ascii_whitespace().nth(3).and_then(|hex| usize::from_str_radix(hex, 16).ok());
            if let Some(count) = state.and_then(|state| states.get_mut(state.wrapping_sub(1))) {
                *count += 1;
            }
        }
    }
    let mut table = plain(&["state", "sockets"]);
    for (name, count) in TCP_STATES.iter().zip(states).filter(|(_, count)| *count > 0) {
        table.add_row([(*name).to_owned(), count.to_string()]);
    }
    let read = || -> io::Result<HashMap<String, u64>> {
        let mut counters = headed("/proc/net/snmp", "Tcp:")?;
        counters.extend(headed("/proc/net/netstat", "TcpExt:")?);
        Ok(counters)
    };
    let before = read()?;
    thread::sleep(INTERVAL);
    let now = read()?;
    let mut rates = plain(&["counter", "in the last second", "since boot"]);
    let shown = [
        "OutSegs",
        "RetransSegs",
        "InErrs",
        "OutRsts",
        "ActiveOpens",
        "AttemptFails",
        "ListenOverflows",
        "ListenDrops",
        "TCPTimeouts",
        "TCPAbortOnMemory",
    ];
    for name in shown {
        let (Some(now), Some(then)) = (now.get(name), before.get(name)) else { continue };
        rates.add_row([name.to_owned(), now.saturating_sub(*then).to_string(), now.to_string()]);
    }
    Ok(format!("{table}\n\n{rates}"))
}

fn swap() -> io::Result<String> {
    let read = |path: &str, names: &[&str]| -> io::Result<HashMap<String, u64>> {
        let text = fs::read_to_string(path)?;
        let numbers = text.lines().filter_map(|line| named_numbers(&line.replacen(':', " ", 1), 0));
        Ok(numbers
            .filter(|(name, _)| names.contains(&name.as_str()))
            .filter_map(|(name, values)| Some((name, *values.first()?)))
            .collect())
    };
    let counters = ["pswpin", "pswpout", "pgmajfault"];
    let before = read("/proc/vmstat", &counters)?;
    thread::sleep(INTERVAL);
    let now = read("/proc/vmstat", &counters)?;
    let memory = read("/proc/meminfo", &["SwapTotal", "SwapFree", "SwapCached"])?;
    let mut table = plain(&["what", "value"]);
    for (name, kib) in [("SwapTotal", "swap"), ("SwapFree", "swap free"), ("SwapCached", "swap cached")]
        .into_iter()
        .filter_map(|(key, name)| Some((name, memory.get(key)?)))
    {
        table.add_row([format!("{name}, MiB"), format!("{:.1}", *kib as f64 / 1024.0)]);
    }
    for (key, name) in
        [("pswpin", "pages swapped in"), ("pswpout", "pages swapped out"), ("pgmajfault", "major faults")]
    {
        let (Some(now), Some(then)) = (now.get(key), before.get(key)) else { continue };
        table.add_row([format!("{name} in the last second"), now.saturating_sub(*then).to_string()]);
    }
    if let Ok(swappiness) = fs::read_to_string("/proc/sys/vm/swappiness") {
        table.add_row(["swappiness", swappiness.trim()]);
    }
    Ok(table.to_string())
}

/// Every process that could be read, by pid.
fn processes() -> io::Result<Vec<(u32, Stat)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // Who ended meanwhile is not there any more.
        let Ok(mut file) = File::open(format!("/proc/{pid}/stat")) else { continue };
        if let Ok(stat) = Stat::read_open(&mut file) {
            found.push((pid, stat));
        }
    }
    Ok(found)
}

/// A name at word `at`, and the numbers after it.
fn named_numbers(line: &str, at: usize) -> Option<(String, Vec<u64>)> {
    let mut words = line.split_ascii_whitespace().skip(at);
    let name = words.next()?.to_owned();
    Some((name, words.map_while(|word| word.parse().ok()).collect()))
}

/// The counters of a file that has a line of names before each line of numbers.
fn headed(path: &str, head: &str) -> io::Result<HashMap<String, u64>> {
    let text = fs::read_to_string(path)?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(head));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return Ok(HashMap::new()) };
    Ok(names
        .split_ascii_whitespace()
        .zip(values.split_ascii_whitespace())
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect())
}

pub(super) fn plain(heading: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(heading);
    table
}
