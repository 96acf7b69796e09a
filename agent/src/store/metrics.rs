//! Metrics: what each tick said, as rows of the ten families.

use std::sync::LazyLock;

use rusqlite::{Connection, params_from_iter, types::Value};

use super::{
    Reader, StoreError,
    families::{BLOCK, Family, IO, LOAD, MEMORY, NETWORK, PAGE_FAULT, SCHEDULER, SWAP, SYSCALL, TCP},
    rows::limit,
};
use crate::{
    observe::{sample::Log2Histogram, window::Tick},
    text::Text,
};

/// Rows of one family in one tick; devices beyond are left out, the busiest of them never.
const NAMES: usize = 32;

/// A row on its way to the writer.
#[derive(Debug)]
pub(super) struct MetricRow {
    /// Place in [`Family::ALL`].
    family: usize,
    at_ms: i64,
    name: Option<Text>,
    values: Vec<Option<f64>>,
}

impl MetricRow {
    pub(super) fn at_ms(&self) -> i64 {
        self.at_ms
    }
}

/// A stored row.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Unix time, ms.
    pub at_ms: i64,
    /// Device or interface, in the families that have one.
    pub name: Option<String>,
    /// In the order of [`Family::columns`]; none where the source was off.
    pub values: Vec<Option<f64>>,
}

/// Which rows of a family to read; oldest first.
#[derive(Clone, Debug, Default)]
pub struct MetricFilter {
    pub since_ms: Option<i64>,
    pub until_ms: Option<i64>,
    pub limit: Option<usize>,
}

/// The rows of a tick; a family whose sources are all off has none.
pub(super) fn rows(tick: &Tick) -> Vec<MetricRow> {
    let node = &tick.node;
    let kernel = &tick.kernel;
    let mut rows = Rows { at_ms: tick.wall_ms, rows: Vec::with_capacity(16) };

    let memory = node.memory.as_ref();
    let bytes = |field: fn(&crate::observe::sample::Memory) -> u64| memory.map(|memory| field(memory) as f64);
    let vmstat = |field: fn(&crate::observe::sample::Vmstat) -> u64| node.vmstat.as_ref().map(|v| field(v) as f64);
    let pressure = node.pressure.as_ref();
    let stalls = kernel.memory.as_ref();
    rows.add(
        &MEMORY,
        None,
        vec![
            bytes(|m| m.total_bytes),
            bytes(|m| m.free_bytes),
            bytes(|m| m.available_bytes),
            bytes(|m| m.buffers_bytes),
            bytes(|m| m.cached_bytes),
            bytes(|m| m.anonymous_bytes),
            bytes(|m| m.slab_reclaimable_bytes),
            bytes(|m| m.dirty_bytes),
            bytes(|m| m.writeback_bytes),
            pressure.map(|p| p.memory.some_avg10_percent),
            pressure.map(|p| p.memory.full_avg10_percent),
            stalls.map(|s| s.reclaim_stalls as f64),
            stalls.map(|s| s.reclaim_stall_ns as f64),
            vmstat(|v| v.oom_kills),
        ],
    );

    let load = node.load.as_ref();
    let cpu = |field: fn(&crate::observe::sample::Cpu) -> u64| node.cpu.as_ref().map(|cpu| field(cpu) as f64);
    rows.add(
        &LOAD,
        None,
        vec![
            load.map(|l| l.one),
            load.map(|l| l.five),
            load.map(|l| l.fifteen),
            load.map(|l| f64::from(l.runnable)),
            load.map(|l| f64::from(l.tasks)),
            cpu(|c| c.online.into()),
            cpu(|c| c.user_ns),
            cpu(|c| c.nice_ns),
            cpu(|c| c.system_ns),
            cpu(|c| c.idle_ns),
            cpu(|c| c.iowait_ns),
            cpu(|c| c.irq_ns),
            cpu(|c| c.steal_ns),
            pressure.map(|p| p.cpu.some_avg10_percent),
        ],
    );

    for disk in busiest(&node.disks, |disk| disk.reads + disk.writes) {
        let counters = [
            disk.reads,
            disk.read_bytes,
            disk.read_time_ms,
            disk.writes,
            disk.written_bytes,
            disk.write_time_ms,
            disk.in_flight,
            disk.busy_ms,
            disk.queue_time_ms,
        ];
        rows.add(&IO, Some(disk.name.clone()), some(&counters));
    }
    for interface in busiest(&node.interfaces, |interface| interface.received_packets + interface.sent_packets) {
        let counters = [
            interface.up.into(),
            interface.received_bytes,
            interface.received_packets,
            interface.received_errors,
            interface.received_dropped,
            interface.sent_bytes,
            interface.sent_packets,
            interface.sent_errors,
            interface.sent_dropped,
        ];
        rows.add(&NETWORK, Some(interface.name.clone()), some(&counters));
    }

    let tcp = |field: fn(&crate::observe::sample::Tcp) -> u64| node.tcp.as_ref().map(|tcp| field(tcp) as f64);
    let sockets = node.sockets.as_ref();
    rows.add(
        &TCP,
        None,
        vec![
            tcp(|t| t.sent_segments),
            tcp(|t| t.retransmitted_segments),
            tcp(|t| t.received_errors),
            tcp(|t| t.active_opens),
            tcp(|t| t.attempt_fails),
            tcp(|t| t.resets_sent),
            tcp(|t| t.listen_overflows),
            tcp(|t| t.listen_drops),
            tcp(|t| t.established),
            tcp(|t| t.syn_sent),
            tcp(|t| t.syn_recv),
            tcp(|t| t.fin_wait),
            tcp(|t| t.time_wait),
            tcp(|t| t.close_wait),
            tcp(|t| t.listen),
            sockets.map(|s| s.used as f64),
            sockets.map(|s| s.tcp_orphan as f64),
            sockets.map(|s| s.tcp_memory_pages as f64),
        ],
    );

    rows.add(
        &SWAP,
        None,
        vec![
            bytes(|m| m.swap_total_bytes),
            bytes(|m| m.swap_free_bytes),
            vmstat(|v| v.swap_in_pages),
            vmstat(|v| v.swap_out_pages),
            vmstat(|v| v.refault_anon_pages),
            vmstat(|v| v.refault_file_pages),
        ],
    );

    let block = kernel.block.as_deref().unwrap_or_default();
    for row in busiest(block, |row| row.latency.count() + row.errors) {
        let operation = format!("{:?}", row.operation).to_lowercase();
        rows.add(
            &BLOCK,
            Some(Text::from(format!("{} {operation}", row.device).as_str())),
            vec![
                Some(row.latency.count() as f64),
                Some(row.bytes as f64),
                Some(row.errors as f64),
                Some(row.in_flight as f64),
                row.latency.quantile_ns(0.5),
                row.latency.quantile_ns(0.99),
            ],
        );
    }

    let queue = kernel.run_queue.as_ref();
    let lifecycle = kernel.lifecycle.as_ref();
    rows.add(
        &SCHEDULER,
        None,
        vec![
            cpu(|c| c.context_switches),
            cpu(|c| c.forks),
            cpu(|c| c.running.into()),
            cpu(|c| c.blocked.into()),
            queue.map(|waits| waits.count() as f64),
            queue.and_then(|waits| waits.quantile_ns(0.5)),
            queue.and_then(|waits| waits.quantile_ns(0.99)),
            lifecycle.map(|l| l.execs as f64),
            lifecycle.map(|l| l.exits as f64),
        ],
    );

    // Watched for a part of the tick, they are told as for the whole of it.
    let calls = kernel.syscalls.as_ref();
    let scaled = |count: u64| Some(count as f64 * (tick.seconds? / calls?.seconds()));
    let mut timed = Log2Histogram::default();
    for (_, latency) in calls.iter().flat_map(|calls| &calls.latency) {
        timed.slots.iter_mut().zip(latency.slots).for_each(|(slot, more)| *slot += more);
    }
    rows.add(
        &SYSCALL,
        None,
        vec![
            calls.and_then(|c| scaled(c.calls.iter().map(|(_, count)| count).sum())),
            calls.and_then(|c| scaled(c.errors.iter().map(|error| error.count).sum())),
            calls.and_then(|c| scaled(c.errors_untold)),
            scaled(timed.count()),
            timed.quantile_ns(0.5),
            timed.quantile_ns(0.99),
            node.files.as_ref().map(|f| f.allocated as f64),
            node.files.as_ref().map(|f| f.maximum as f64),
            pressure.map(|p| p.io.some_avg10_percent),
            pressure.map(|p| p.io.full_avg10_percent),
        ],
    );

    let faults = kernel.page_faults.as_ref();
    rows.add(
        &PAGE_FAULT,
        None,
        vec![
            vmstat(|v| v.faults),
            vmstat(|v| v.major_faults),
            faults.map(|f| f.user as f64),
            faults.map(|f| f.kernel as f64),
            vmstat(|v| v.direct_scan_pages),
            vmstat(|v| v.direct_steal_pages),
            vmstat(|v| v.kswapd_scan_pages),
            vmstat(|v| v.allocation_stalls),
        ],
    );
    rows.rows
}

struct Rows {
    at_ms: i64,
    rows: Vec<MetricRow>,
}

impl Rows {
    fn add(&mut self, family: &'static Family, name: Option<Text>, values: Vec<Option<f64>>) {
        debug_assert_eq!(values.len(), family.columns.len(), "{}", family.table);
        let place = Family::ALL.iter().position(|known| std::ptr::eq(*known, family));
        if let Some(family) = place.filter(|_| values.iter().any(Option::is_some)) {
            self.rows.push(MetricRow { family, at_ms: self.at_ms, name, values });
        }
    }
}

/// Those that ever did something, the busiest first, at most [`NAMES`].
fn busiest<T>(all: &[T], work: impl Fn(&T) -> u64) -> Vec<&T> {
    let mut busy: Vec<&T> = all.iter().filter(|one| work(one) > 0).collect();
    if busy.len() > NAMES {
        busy.sort_unstable_by_key(|one| std::cmp::Reverse(work(one)));
        busy.truncate(NAMES);
    }
    busy
}

fn some(counters: &[u64]) -> Vec<Option<f64>> {
    counters.iter().map(|counter| Some(*counter as f64)).collect()
}

/// `INSERT` and range query of each family, in the order of [`Family::ALL`].
static STATEMENTS: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let statements = |family: &&Family| {
        let name = if family.named { ", name" } else { "" };
        let columns = family.columns.join(", ");
        let marks = vec!["?"; family.columns.len() + 1 + usize::from(family.named)].join(", ");
        let table = family.table;
        (
            format!("INSERT OR REPLACE INTO {table} (at_ms{name}, {columns}) VALUES ({marks})"),
            format!(
                "SELECT at_ms{name}, {columns} FROM {table} WHERE at_ms BETWEEN ?1 AND ?2 ORDER BY at_ms{name} LIMIT ?3"
            ),
        )
    };
    Family::ALL.iter().map(statements).collect()
});

pub(super) fn range_query(family: &Family) -> &'static str {
    let place = Family::ALL.iter().position(|known| *known == family).unwrap_or_default();
    &STATEMENTS[place].1
}

pub(super) fn write(connection: &Connection, rows: &[MetricRow]) -> rusqlite::Result<u64> {
    for row in rows {
        let mut statement = connection.prepare_cached(&STATEMENTS[row.family].0)?;
        let real = |value: &Option<f64>| value.map_or(Value::Null, Value::Real);
        let name = row.name.iter().map(|name| Value::Text(name.as_str().to_owned()));
        let values = std::iter::once(Value::Integer(row.at_ms)).chain(name).chain(row.values.iter().map(real));
        statement.execute(params_from_iter(values))?;
    }
    Ok(rows.len() as u64)
}

impl Reader {
    /// The rows of a family between two instants, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn metrics(&self, family: &Family, filter: &MetricFilter) -> Result<Vec<Metric>, StoreError> {
        let what = "read metrics";
        let bounds = (filter.since_ms.unwrap_or(i64::MIN), filter.until_ms.unwrap_or(i64::MAX), limit(filter.limit));
        self.rows(what, range_query(family), bounds, |row| {
            let first = 1 + usize::from(family.named);
            let values = (first..first + family.columns.len()).map(|column| row.get(column)).collect::<Result<_, _>>();
            let name = if family.named { row.get(1).map(Some) } else { Ok(None) };
            Ok(Metric {
                at_ms: row.get(0).map_err(StoreError::sqlite(what))?,
                name: name.map_err(StoreError::sqlite(what))?,
                values: values.map_err(StoreError::sqlite(what))?,
            })
        })
    }
}
