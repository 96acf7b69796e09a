//! What the gate may let through at most, written a second time by other means: no pattern, no type of the agent's. A
//! line that is not byte for byte one of these, or an action that is not one of these, must be refused.

use serde_json::{Map, Value};

/// Longest line that is judged, bytes.
pub(crate) const LINE_MAX: usize = 640;
const PID_MAX: u64 = 4_194_304;
/// The one file that an operator lists.
pub(crate) const LISTED_UNIT: &str = "app.service";
pub(crate) const LISTED_FILE: &str = "/var/log/app.log";

/// Whether a line is in the one form that its command has.
pub(crate) fn line_is_canonical(line: &str) -> bool {
    if line.len() > LINE_MAX {
        return false;
    }
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["sync" | "check_io_activity" | "check_network_stats" | "check_tcp_stats" | "monitor_swap"] => true,
        ["list_sockets" | "list_mounts"] => true,
        ["lsfd", "-p", pid] => within(pid, 1, PID_MAX),
        ["cgget", "-a", path] => cgroup_path(path),
        ["chrt", "-o", "0", rest @ ..] => threads_and_pid(rest),
        ["choom", "-n", adj, "-p", pid] => {
            let sound = adj.strip_prefix('-').map_or_else(|| within(adj, 0, 1000), |below| within(below, 1, 900));
            sound && within(pid, 1, PID_MAX)
        }
        ["prlimit", limit, "--pid", pid] => {
            let limits = limit.strip_prefix("--nofile=").and_then(|limits| limits.split_once(':'));
            let Some((Some(soft), Some(hard))) = limits.map(|(soft, hard)| (number(soft), number(hard))) else {
                return false;
            };
            (10..=9_999_999).contains(&soft)
                && (10..=9_999_999_999).contains(&hard)
                && soft <= hard
                && within(pid, 1, PID_MAX)
        }
        ["renice", "-n", nice, rest @ ..] => within(nice, 1, 19) && threads_and_pid(rest),
        ["renice", plus, "-p", pid] => {
            plus.strip_prefix('+').is_some_and(|nice| within(nice, 1, 19)) && within(pid, 1, PID_MAX)
        }
        ["ionice", "-c", "2", "-n", level, rest @ ..] => within(level, 0, 7) && threads_and_pid(rest),
        ["ionice", "-c", "3", rest @ ..] => threads_and_pid(rest),
        ["taskset", "-a", "-c", cpus, rest @ ..] => cpu_list(cpus) && threads_and_pid(rest),
        ["cpulimit", "-p", pid, "-l", percent] => within(pid, 1, PID_MAX) && within(percent, 1, 99),
        ["kill", "-STOP" | "-CONT" | "-TERM", pid] => within(pid, 1, PID_MAX),
        // Of what has to be listed, only what is.
        ["truncate_file", path] => *path == LISTED_FILE,
        ["restart_unit", unit, run] => {
            *unit == LISTED_UNIT && run.len() == 32 && run.bytes().all(|byte| b"0123456789abcdef".contains(&byte))
        }
        ["set_property", setting, path] => {
            let range = |name: &str| match name {
                "MemoryHigh" | "MemoryMax" => Some((1_048_576, 9_999_999_999_999_999)),
                "CPUQuotaPerSecUSec" => Some((10_000, 999_999_999_999)),
                "TasksMax" => Some((1, 9_999_999)),
                _ => None,
            };
            let known = setting.split_once('=').and_then(|(name, value)| Some((range(name)?, value)));
            cgroup_path(path) && known.is_some_and(|((least, most), value)| within(value, least, most))
        }
        ["fsfreeze", "-u", path] => *path == "/" || file_path(path),
        ["qdisc", "del", "dev", interface, "root", "handle", handle, kind] => {
            let handle = handle.strip_suffix(':').unwrap_or_default();
            let digit = |c: char| matches!(c, '0'..='9' | 'a'..='f');
            interface_name(interface)
                && (1..=4).contains(&handle.len())
                && !handle.starts_with('0')
                && handle.chars().all(digit)
                && ["bfifo", "fq", "netem", "pfifo", "pfifo_head_drop", "tbf"].contains(kind)
        }
        ["ethtool", "-s", interface, "speed", mbit] => {
            interface_name(interface) && *interface != "lo" && within(mbit, 10, 800_000)
        }
        ["cgset", "-r", setting, path] => cgroup_path(path) && setting.split_once('=').is_some_and(cgroup_setting),
        ["cgclassify", settings @ .., "-g", path, pid] => confined(settings) && own_path(path, pid),
        ["sysctl", "-w", setting] => setting.split_once('=').is_some_and(sysctl),
        ["top", "-o", "rss" | "cpu" | "io", "-n", count] => within(count, 1, 50),
        ["cat", path] => path.strip_prefix("/proc/").is_some_and(|file| FILES.contains(&file)),
        _ => false,
    }
}

const FILES: [&str; 16] = [
    "meminfo",
    "vmstat",
    "swaps",
    "buddyinfo",
    "loadavg",
    "stat",
    "uptime",
    "diskstats",
    "pressure/cpu",
    "pressure/io",
    "pressure/memory",
    "net/dev",
    "net/snmp",
    "net/netstat",
    "net/sockstat",
    "sys/fs/file-nr",
];

fn threads_and_pid(rest: &[&str]) -> bool {
    match rest {
        ["-p", pid] => within(pid, 1, PID_MAX),
        ["-t", threads, "-p", pid] => {
            let each = |tid| within(tid, 1, PID_MAX);
            threads.split(',').count() <= 64 && threads.split(',').all(each) && within(pid, 1, PID_MAX)
        }
        _ => false,
    }
}

/// As the kernel writes it: rising, no two ranges that touch.
fn cpu_list(list: &str) -> bool {
    let mut next = 0;
    for part in list.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (first, last),
            None => (part, part),
        };
        let (Some(first_cpu), Some(last_cpu)) = (number(first), number(last)) else { return false };
        let is_range = part.contains('-');
        if first_cpu < next || last_cpu > 1023 || first_cpu > last_cpu || is_range && first_cpu == last_cpu {
            return false;
        }
        next = last_cpu + 2;
    }
    true
}

fn cgroup_setting((file, value): (&str, &str)) -> bool {
    match file {
        "memory.limit_in_bytes" | "memory.high" | "memory.max" => within(value, 1 << 20, 9_999_999_999_999_999),
        "memory.reclaim" => within(value, 1 << 20, 9_999_999_999),
        "pids.max" => within(value, 1, 9_999_999),
        "io.max" => of_device(value, |rate| {
            rate.split_once('=').is_some_and(|(what, rate)| match what {
                "rbps" | "wbps" => within(rate, 64 << 10, 9_999_999_999_999),
                "riops" | "wiops" => within(rate, 10, 9_999_999_999_999),
                _ => false,
            })
        }),
        "blkio.throttle.read_bps_device" | "blkio.throttle.write_bps_device" => {
            of_device(value, |rate| within(rate, 64 << 10, 9_999_999_999_999))
        }
        "blkio.throttle.read_iops_device" | "blkio.throttle.write_iops_device" => {
            of_device(value, |rate| within(rate, 10, 9_999_999_999_999))
        }
        "cpu.cfs_quota_us" | "cpu.max" => within(value, 1000, 999_999_999_999),
        "freezer.state" => value == "FROZEN" || value == "THAWED",
        "cgroup.freeze" => value == "1" || value == "0",
        _ => false,
    }
}

/// A limit of CPU time, one of memory, or both in this order.
fn confined(settings: &[&str]) -> bool {
    let is = |setting: &str, names: [&str; 2]| {
        setting.split_once('=').is_some_and(|(name, value)| names.contains(&name) && cgroup_setting((name, value)))
    };
    let cpu = |setting| is(setting, ["cpu.cfs_quota_us", "cpu.max"]);
    let memory = |setting| is(setting, ["memory.limit_in_bytes", "memory.high"]);
    match settings {
        ["-r", one] => cpu(one) || memory(one),
        ["-r", one, "-r", other] => cpu(one) && memory(other),
        _ => false,
    }
}

/// `/kernelsight/p4242-1234` of the process 4242.
fn own_path(path: &str, pid: &str) -> bool {
    let Some(rest) = path.strip_prefix("/kernelsight/p") else { return false };
    let Some((owner, start)) = rest.split_once('-') else { return false };
    // Longer than other numbers: ticks since boot.
    let ticks = start.len() <= 19 && !start.starts_with('0') && start.bytes().all(|byte| byte.is_ascii_digit());
    owner == pid && within(pid, 1, PID_MAX) && !start.is_empty() && ticks
}

fn sysctl((key, value): (&str, &str)) -> bool {
    match key {
        "vm.swappiness" => within(value, 0, 100),
        "vm.drop_caches" => within(value, 1, 3),
        "net.core.somaxconn" => within(value, 128, 65536),
        "net.ipv4.tcp_fin_timeout" => within(value, 10, 120),
        "vm.compact_memory" => value == "1",
        "vm.min_free_kbytes" => within(value, 1024, 64 << 20),
        "vm.dirty_bytes" => within(value, 16 << 20, 64 << 30),
        "vm.dirty_background_bytes" => within(value, 4 << 20, 64 << 30),
        "net.core.rmem_max" | "net.core.wmem_max" => within(value, 212_992, 64 << 20),
        "net.ipv4.tcp_tw_reuse" => within(value, 1, 2),
        "net.netfilter.nf_conntrack_max" => within(value, 65_536, 16 << 20),
        "net.ipv4.ip_local_port_range" => {
            value.split(',').count() == 2 && value.split(',').all(|port| within(port, 1024, 65_535))
        }
        "net.ipv4.tcp_mem" => {
            value.split(',').count() == 3 && value.split(',').all(|pages| within(pages, 1024, 1 << 38))
        }
        _ => false,
    }
}

/// `8:0,` and a rate.
fn of_device(value: &str, rate: impl Fn(&str) -> bool) -> bool {
    let Some((device, rest)) = value.split_once(',') else { return false };
    device.split_once(':').is_some_and(|(major, minor)| within(major, 0, 4095) && within(minor, 0, 1_048_575))
        && rate(rest)
}

fn file_path(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._@+:-".contains(c);
    let part = |part: &str| !["", ".", ".."].contains(&part) && part.chars().all(plain);
    path.len() <= 255 && path.starts_with('/') && path[1..].split('/').all(part)
}

fn interface_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=15).contains(&name.len()) && !name.starts_with('-') && !name.starts_with('.') && name.chars().all(plain)
}

fn cgroup_path(path: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part.chars().all(|c| matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9') || "_.:@+=-\\".contains(c))
    };
    path.len() <= 255 && path.starts_with('/') && path[1..].split('/').all(part)
}

/// Digits of ASCII, none too many in front.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let short = (1..=16).contains(&text.len()) && (text == "0" || !text.starts_with('0'));
    if digits && short { text.parse().ok() } else { None }
}

fn within(text: &str, least: u64, most: u64) -> bool {
    number(text).is_some_and(|number| (least..=most).contains(&number))
}

/// Whether an action has just the parameters of its kind, each of its type and in its range.
pub(crate) fn action_is_canonical(name: &str, params: &Map<String, Value>) -> bool {
    let int = |key: &str, least: i64, most: i64, needed: bool| match params.get(key) {
        None => !needed,
        // A float is no integer, whatever stands behind its point.
        Some(Value::Number(number)) => {
            !number.is_f64() && number.as_i64().is_some_and(|value| (least..=most).contains(&value))
        }
        Some(_) => false,
    };
    let pid = || int("pid", 1, 4_194_304, true);
    let cgroup = || params.get("cgroup").and_then(Value::as_str).is_some_and(cgroup_path);
    let only = |keys: &[&str]| params.keys().all(|key| keys.contains(&key.as_str()));
    match name {
        "list_top_memory" | "list_top_cpu" | "list_top_io" => only(&["count"]) && int("count", 1, 50, false),
        "check_io_activity" | "check_network_stats" | "check_tcp_stats" | "monitor_swap" | "flush_buffers" => only(&[]),
        "lower_process_priority" => only(&["pid", "priority"]) && pid() && int("priority", 1, 19, false),
        "lower_io_priority" => {
            only(&["pid", "io_class", "priority"])
                && pid()
                && int("io_class", 2, 3, false)
                && int("priority", 0, 7, false)
        }
        "set_cpu_affinity" => {
            only(&["pid", "cpus"]) && pid() && params.get("cpus").and_then(Value::as_str).is_some_and(cpus_asked_for)
        }
        "reduce_swappiness" => only(&["value"]) && int("value", 0, 100, false),
        "increase_tcp_backlog" => only(&["value"]) && int("value", 128, 65536, true),
        "reduce_fin_timeout" => only(&["value"]) && int("value", 10, 120, false),
        "clear_page_cache" => only(&["level"]) && int("level", 1, 3, false),
        "resume_process" | "pause_process" | "terminate_process" => only(&["pid"]) && pid(),
        "throttle_cpu" => only(&["pid", "limit"]) && pid() && int("limit", 1, 99, true),
        "limit_cgroup_cpu" => only(&["cgroup", "percent"]) && cgroup() && int("percent", 1, 102_400, true),
        "limit_cgroup_memory" => only(&["cgroup", "bytes"]) && cgroup() && int("bytes", 1 << 20, 1 << 50, true),
        "thaw_filesystem" => {
            only(&["path"])
                && params.get("path").and_then(Value::as_str).is_some_and(|path| path == "/" || file_path(path))
        }
        "reset_qdisc" => {
            only(&["interface"]) && params.get("interface").and_then(Value::as_str).is_some_and(interface_name)
        }
        "set_link_speed" => {
            only(&["interface", "mbit"])
                && params
                    .get("interface")
                    .and_then(Value::as_str)
                    .is_some_and(|name| interface_name(name) && name != "lo")
                && int("mbit", 10, 800_000, true)
        }
        "kill_process" => only(&["pid", "wait_s"]) && pid() && int("wait_s", 1, 20, false),
        "restart_unit" => only(&["unit"]) && params.get("unit").and_then(Value::as_str) == Some(LISTED_UNIT),
        "truncate_file" => only(&["path"]) && params.get("path").and_then(Value::as_str) == Some(LISTED_FILE),
        "confine_process" => {
            only(&["pid", "cpu_percent", "memory_mb"])
                && pid()
                && int("cpu_percent", 1, 102_400, false)
                && int("memory_mb", 16, 1 << 30, false)
                && params.len() > 1
        }
        "freeze_cgroup" | "thaw_cgroup" | "list_cgroup_limits" => only(&["cgroup"]) && cgroup(),
        "list_descriptors" | "demote_realtime" => only(&["pid"]) && pid(),
        "list_sockets" | "list_mounts" | "compact_memory" => only(&[]),
        "raise_oom_score_adj" => only(&["pid", "value"]) && pid() && int("value", 1, 1000, true),
        "lower_oom_score_adj" => only(&["pid", "value"]) && pid() && int("value", -900, 999, true),
        "raise_nofile_limit" => only(&["pid", "files"]) && pid() && int("files", 64, 1_048_576, true),
        "raise_cgroup_cpu" => only(&["cgroup", "percent"]) && cgroup() && int("percent", 1, 102_400, true),
        "raise_cgroup_memory" => only(&["cgroup", "bytes"]) && cgroup() && int("bytes", 1 << 20, 1 << 50, true),
        "reclaim_cgroup" => only(&["cgroup", "bytes"]) && cgroup() && int("bytes", 1 << 20, 1 << 30, true),
        "limit_cgroup_pids" | "raise_cgroup_pids" => {
            only(&["cgroup", "tasks"]) && cgroup() && int("tasks", 1, 4_194_304, true)
        }
        "limit_cgroup_io" => {
            let text = |key: &str| params.get(key).and_then(Value::as_str).unwrap_or_default();
            only(&["cgroup", "device", "what", "rate"])
                && cgroup()
                && of_device(&format!("{},", text("device")), str::is_empty)
                && ["read_bps", "write_bps", "read_iops", "write_iops"].contains(&text("what"))
                && int("rate", 10, 1_000_000_000_000, true)
        }
        "raise_min_free_kbytes" => only(&["kbytes"]) && int("kbytes", 1024, 64 << 20, true),
        "limit_dirty_bytes" => only(&["bytes"]) && int("bytes", 16 << 20, 64 << 30, true),
        "limit_dirty_background_bytes" => only(&["bytes"]) && int("bytes", 4 << 20, 64 << 30, true),
        "increase_rmem_max" | "increase_wmem_max" => only(&["value"]) && int("value", 212_992, 64 << 20, true),
        "increase_tcp_mem" => only(&["bytes"]) && int("bytes", 16 << 20, 1 << 40, true),
        "increase_conntrack_max" => only(&["value"]) && int("value", 65_536, 16 << 20, true),
        "reuse_time_wait" => only(&["value"]) && int("value", 1, 2, false),
        "widen_port_range" => {
            only(&["low", "high"]) && int("low", 1024, 65_535, true) && int("high", 1024, 65_535, true)
        }
        _ => false,
    }
}

/// A list of CPUs as somebody may ask for it: in any order, zeros in front.
fn cpus_asked_for(list: &str) -> bool {
    let cpu = |text: &str| {
        let digits = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse::<u32>().ok().filter(|cpu| *cpu < 1024) } else { None }
    };
    list.split(',').all(|part| match part.split_once('-') {
        Some((first, last)) => matches!((cpu(first), cpu(last)), (Some(first), Some(last)) if first <= last),
        None => cpu(part).is_some(),
    })
}
