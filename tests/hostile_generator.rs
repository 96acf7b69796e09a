//! Lines and actions that are nearly right: every allowed form and every hostile row, bent in the ways that gates fall
//! for. The same at each run, or as the bytes of a fuzzer say.

use serde_json::Value;

/// Where the choices come from.
pub(crate) enum Dice<'a> {
    /// xorshift64, never 0.
    Seeded(u64),
    /// A fuzzer's bytes, and zeros after them.
    Bytes(&'a [u8]),
}

impl Dice<'_> {
    fn next(&mut self) -> u64 {
        match self {
            Self::Seeded(state) => {
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                *state
            }
            Self::Bytes(bytes) => {
                let (now, rest) = bytes.split_at(bytes.len().min(2));
                *bytes = rest;
                now.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
            }
        }
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn word<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// Forms that the gate allows. `@` is a number that nobody is: a line is judged, and nothing is run.
pub(crate) const LINES: [&str; 78] = [
    "renice -n 10 -p @",
    "renice -n 1 -t 4243,4244 -p @",
    "renice +19 -p @",
    "ionice -c 2 -n 7 -p @",
    "ionice -c 2 -n 0 -t 4243 -p @",
    "ionice -c 3 -p @",
    "taskset -a -c 0-3,5 -p @",
    "taskset -a -c 1 -t 4243,4244 -p @",
    "cpulimit -p @ -l 50",
    "kill -STOP @",
    "kill -CONT @",
    "kill -TERM @",
    "cgset -r memory.limit_in_bytes=1073741824 /x",
    "cgset -r memory.high=1073741824 /x.slice/y.service",
    "cgset -r cpu.cfs_quota_us=50000 /x/y",
    "cgset -r cpu.max=50000 /x-1/y_2",
    "cgset -r freezer.state=FROZEN /x:y",
    "cgset -r cgroup.freeze=1 /x@y",
    "sysctl -w vm.swappiness=10",
    "sysctl -w vm.swappiness=0",
    "sysctl -w vm.drop_caches=3",
    "sysctl -w net.core.somaxconn=8192",
    "sysctl -w net.ipv4.tcp_fin_timeout=30",
    "sync",
    "top -o rss -n 10",
    "top -o cpu -n 50",
    "top -o io -n 10",
    "check_io_activity",
    "check_network_stats",
    "check_tcp_stats",
    "monitor_swap",
    "cat /proc/meminfo",
    "cat /proc/swaps",
    "cat /proc/stat",
    "cat /proc/diskstats",
    "cat /proc/pressure/memory",
    "cat /proc/net/snmp",
    "cat /proc/sys/fs/file-nr",
    "cat /proc/uptime",
    "list_sockets",
    "list_mounts",
    "lsfd -p @",
    "cgget -a /x.slice/y.service",
    "chrt -o 0 -p @",
    "chrt -o 0 -t 4243,4244 -p @",
    "choom -n 500 -p @",
    "choom -n -100 -p @",
    "prlimit --nofile=8192:65536 --pid @",
    "cgset -r memory.max=1073741824 /x",
    "cgset -r memory.reclaim=104857600 /x",
    "cgset -r pids.max=100 /x",
    "cgset -r io.max=8:0,rbps=1048576 /x",
    "cgset -r io.max=259:1,wiops=100 /x/y",
    "cgset -r blkio.throttle.read_bps_device=8:0,1048576 /x",
    "cgset -r blkio.throttle.write_iops_device=8:16,100 /x",
    "cgset -r freezer.state=THAWED /x",
    "cgset -r cgroup.freeze=0 /x",
    "sysctl -w vm.compact_memory=1",
    "sysctl -w vm.min_free_kbytes=131072",
    "sysctl -w vm.dirty_bytes=268435456",
    "sysctl -w net.core.rmem_max=8388608",
    "sysctl -w net.ipv4.tcp_tw_reuse=1",
    "sysctl -w net.ipv4.ip_local_port_range=15000,65000",
    "sysctl -w net.ipv4.tcp_mem=262144,349525,524288",
    "truncate_file /var/log/app.log",
    "fsfreeze -u /srv",
    "fsfreeze -u /srv/data-1",
    "restart_unit app.service 00112233445566778899aabbccddeeff",
    "set_property MemoryHigh=1073741824 /x.service",
    "set_property CPUQuotaPerSecUSec=500000 /x.slice/y.scope",
    "set_property TasksMax=50 /x.service",
    "cgclassify -r cpu.max=50000 -g /kernelsight/p@-1234 @",
    "cgclassify -r memory.limit_in_bytes=268435456 -g /kernelsight/p@-99999999 @",
    "cgclassify -r cpu.cfs_quota_us=150000 -r memory.high=1073741824 -g /kernelsight/p@-1 @",
    "qdisc del dev eth0 root handle 8001: tbf",
    "ethtool -s eth0 speed 1000",
    "ethtool -s enp0s31f6 speed 800000",
    "qdisc del dev eth0.100 root handle 1: pfifo_head_drop",
];

/// Actions that the gate reads. `@` is a live process, `/x` no cgroup.
const ACTIONS: [&str; 45] = [
    r#"{"action_type":"list_top_memory","params":{"count":10}}"#,
    r#"{"action_type":"list_top_cpu","params":{}}"#,
    r#"{"action_type":"list_top_io","params":{"count":7}}"#,
    r#"{"action_type":"check_io_activity","params":{}}"#,
    r#"{"action_type":"check_network_stats","params":{}}"#,
    r#"{"action_type":"check_tcp_stats","params":{}}"#,
    r#"{"action_type":"monitor_swap","params":{}}"#,
    r#"{"action_type":"lower_process_priority","params":{"pid":@,"priority":10}}"#,
    r#"{"action_type":"lower_io_priority","params":{"pid":@,"io_class":2,"priority":7}}"#,
    r#"{"action_type":"lower_io_priority","params":{"pid":@,"io_class":3}}"#,
    r#"{"action_type":"set_cpu_affinity","params":{"pid":@,"cpus":"0"}}"#,
    r#"{"action_type":"reduce_swappiness","params":{"value":1}}"#,
    r#"{"action_type":"increase_tcp_backlog","params":{"value":65536}}"#,
    r#"{"action_type":"reduce_fin_timeout","params":{"value":10}}"#,
    r#"{"action_type":"flush_buffers","params":{}}"#,
    r#"{"action_type":"clear_page_cache","params":{"level":1}}"#,
    r#"{"action_type":"resume_process","params":{"pid":@}}"#,
    r#"{"action_type":"throttle_cpu","params":{"pid":@,"limit":50}}"#,
    r#"{"action_type":"limit_cgroup_cpu","params":{"cgroup":"/x","percent":50}}"#,
    r#"{"action_type":"limit_cgroup_memory","params":{"cgroup":"/x","bytes":1073741824}}"#,
    r#"{"action_type":"pause_process","params":{"pid":@}}"#,
    r#"{"action_type":"freeze_cgroup","params":{"cgroup":"/x"}}"#,
    r#"{"action_type":"terminate_process","params":{"pid":@}}"#,
    r#"{"action_type":"list_sockets","params":{}}"#,
    r#"{"action_type":"list_descriptors","params":{"pid":@}}"#,
    r#"{"action_type":"list_cgroup_limits","params":{"cgroup":"/x"}}"#,
    r#"{"action_type":"demote_realtime","params":{"pid":@}}"#,
    r#"{"action_type":"raise_oom_score_adj","params":{"pid":@,"value":500}}"#,
    r#"{"action_type":"lower_oom_score_adj","params":{"pid":@,"value":-100}}"#,
    r#"{"action_type":"raise_nofile_limit","params":{"pid":@,"files":4096}}"#,
    r#"{"action_type":"limit_cgroup_pids","params":{"cgroup":"/x","tasks":100}}"#,
    r#"{"action_type":"limit_cgroup_io","params":{"cgroup":"/x","device":"8:0","what":"read_bps","rate":1048576}}"#,
    r#"{"action_type":"reclaim_cgroup","params":{"cgroup":"/x","bytes":1048576}}"#,
    r#"{"action_type":"limit_dirty_bytes","params":{"bytes":67108864}}"#,
    r#"{"action_type":"reuse_time_wait","params":{"value":1}}"#,
    r#"{"action_type":"increase_rmem_max","params":{"value":8388608}}"#,
    r#"{"action_type":"compact_memory","params":{}}"#,
    r#"{"action_type":"kill_process","params":{"pid":@,"wait_s":10}}"#,
    r#"{"action_type":"truncate_file","params":{"path":"/var/log/app.log"}}"#,
    r#"{"action_type":"thaw_filesystem","params":{"path":"/"}}"#,
    r#"{"action_type":"restart_unit","params":{"unit":"app.service"}}"#,
    r#"{"action_type":"confine_process","params":{"pid":@,"cpu_percent":50}}"#,
    r#"{"action_type":"confine_process","params":{"pid":@,"cpu_percent":50,"memory_mb":512}}"#,
    r#"{"action_type":"reset_qdisc","params":{"interface":"eth0"}}"#,
    r#"{"action_type":"set_link_speed","params":{"interface":"eth0","mbit":1000}}"#,
];

/// What is put into a line.
const PIECES: [&str; 64] = [
    ";",
    " ; ",
    "&&",
    "||",
    "|",
    "&",
    ">",
    "<",
    "`",
    "$(",
    ")",
    "${IFS}",
    "'",
    "\"",
    "\\",
    "\\\n",
    "#",
    "*",
    "?",
    "~",
    "!",
    "\n",
    "\r",
    "\r\n",
    "\t",
    "\u{b}",
    "\u{c}",
    "\0",
    "\u{1b}[0m",
    " ",
    "  ",
    "\u{a0}",
    "\u{2028}",
    "\u{200b}",
    "\u{202e}",
    "\u{feff}",
    "-",
    "--",
    "-- ",
    " -",
    "+",
    "=",
    ",",
    "/",
    "//",
    "/..",
    "/../",
    "/.",
    "/./",
    "..",
    ".",
    "%",
    "0",
    "00",
    "0x",
    "1e1",
    ".0",
    "9",
    "-1",
    "1_000",
    "١",
    "٣",
    "９",
    "е",
];
const PREFIXES: [&str; 12] = [
    "PATH=/tmp ",
    "LD_PRELOAD=/tmp/x.so ",
    "IFS=, ",
    "env ",
    "sudo ",
    "nice ",
    "/bin/",
    "/usr/bin/",
    "./",
    "\\",
    "exec ",
    "time ",
];
/// Numbers that break who reads them carelessly.
const NUMBERS: [&str; 30] = [
    "0",
    "1",
    "2",
    "-1",
    "-0",
    "+1",
    "19",
    "20",
    "99",
    "100",
    "101",
    "1023",
    "1024",
    "007",
    "4194304",
    "4194305",
    "2147483647",
    "2147483648",
    "4294967296",
    "4294967297",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "99999999999999999999999",
    "1e2",
    "10.0",
    "1.5",
    "0x10",
    "NaN",
    "",
];
/// What stands in JSON where a number should.
const VALUES: [&str; 24] = [
    "true",
    "false",
    "null",
    "\"10\"",
    "\"@\"",
    "10.0",
    "1e1",
    "1E400",
    "-1",
    "-0",
    "0",
    "[10]",
    "{}",
    "{\"$gt\":0}",
    "\"\"",
    "\" 10\"",
    "\"1٠\"",
    "100000000000000000000",
    "4294967297",
    "\"/x\"",
    "\"/x/../y\"",
    "\"//x\"",
    "\"/\"",
    "\"0-1,,2\"",
];
const KEYS: [&str; 12] =
    ["pid", "Pid", "PID", "pіd", "pid ", "signal", "command", "cmd", "__proto__", "priority", "cgroup", "value\u{0}"];

/// A line that is nearly one of the gate's, or none at all. `pid` stands for `@`.
pub(crate) fn line(dice: &mut Dice<'_>, hostile: &[String], pid: u32) -> String {
    let mut line = if !hostile.is_empty() && dice.below(4) == 0 {
        dice.pick(hostile).clone()
    } else {
        dice.word(&LINES).replace('@', &pid.to_string())
    };
    // Some stay as they are: what is right must be found right.
    for _ in 0..dice.below(4) {
        line = bend(dice, line, hostile);
        // Longer ones are refused by their length alone, which is seen by a few.
        if line.len() > 4096 {
            break;
        }
    }
    line
}

fn bend(dice: &mut Dice<'_>, line: String, hostile: &[String]) -> String {
    let length = line.chars().count();
    match dice.below(16) {
        0 | 1 => insert(&line, dice.below(length + 1), dice.word(&PIECES)),
        2 => format!("{line}{}", dice.word(&PIECES)),
        3 => format!("{}{line}", dice.word(&PIECES)),
        4 => format!("{}{line}", dice.word(&PREFIXES)),
        5 => with_another_number(dice, &line),
        6 => remove(&line, dice.below(length)),
        7 => with_another_case(&line, dice.below(length)),
        8 => line.replacen(' ', dice.word(&["  ", "\t", "\n", "", "\u{a0}", " -- "]), 1),
        9 => {
            let glue = dice.word(&PIECES);
            let other = if hostile.is_empty() { "id" } else { dice.pick(hostile).as_str() };
            format!("{line}{glue}{other}")
        }
        10 => {
            let mut words: Vec<&str> = line.split(' ').collect();
            let (one, other) = (dice.below(words.len()), dice.below(words.len()));
            words.swap(one, other);
            words.join(" ")
        }
        11 => {
            let words: Vec<&str> = line.split(' ').collect();
            format!("{line} {}", dice.word(&words))
        }
        12 => with_a_look_alike(&line, dice.below(length)),
        13 => line.repeat(1 + dice.below(40)),
        14 => format!("{line}{}", dice.word(&["/..", "/../x", "//", "/", "/./x", "/x", "/a\\x2db", "/x y", "/$x"])),
        _ => line.replacen(
            char::is_numeric,
            &char::from_u32(dice.below(0x3000) as u32).map_or_else(String::new, String::from),
            1,
        ),
    }
}

/// An action as JSON text that is nearly one of the gate's. `pid` is a live process.
pub(crate) fn action(dice: &mut Dice<'_>, hostile: &[String], pid: u32) -> String {
    let mut row = if !hostile.is_empty() && dice.below(4) == 0 {
        dice.pick(hostile).clone()
    } else {
        dice.word(&ACTIONS).replace('@', &pid.to_string())
    };
    for _ in 0..dice.below(3) {
        row = bend_action(dice, &row, pid);
    }
    row
}

fn bend_action(dice: &mut Dice<'_>, row: &str, pid: u32) -> String {
    let Ok(mut fields) = serde_json::from_str::<serde_json::Map<String, Value>>(row) else { return row.to_owned() };
    let name = fields.get("action_type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let raw = dice.word(&VALUES).replace('@', &pid.to_string());
    let value = serde_json::from_str::<Value>(&raw).unwrap_or(Value::Null);
    let number = || serde_json::from_str::<Value>(&raw).unwrap_or(Value::Null);
    match dice.below(9) {
        0 => {
            _ = fields.insert("action_type".to_owned(), Value::String(with_another_case(&name, dice.below(name.len()))))
        }
        1 => {
            let bent = insert(&name, dice.below(name.len() + 1), dice.word(&PIECES));
            _ = fields.insert("action_type".to_owned(), Value::String(bent));
        }
        choice => {
            let Some(Value::Object(params)) = fields.get_mut("params") else { return row.to_owned() };
            let keys: Vec<String> = params.keys().cloned().collect();
            match (choice, keys.is_empty()) {
                (2 | 3, false) => _ = params.insert(dice.pick(&keys).clone(), value),
                (4, false) => {
                    let key = dice.pick(&keys).clone();
                    let text = dice.word(&NUMBERS);
                    let number = text.parse::<i64>().map(Value::from).unwrap_or_else(|_| Value::from(text));
                    _ = params.insert(key, number);
                }
                (5, false) => _ = params.remove(dice.pick(&keys)),
                (6, false) => {
                    let key = dice.pick(&keys).clone();
                    let held = params.get(&key).map(Value::to_string).unwrap_or_default();
                    _ = params.insert(key, Value::String(held));
                }
                (7, false) => {
                    let key = dice.pick(&keys).clone();
                    let bent =
                        params.get(&key).and_then(Value::as_str).map(|text| format!("{text}{}", dice.word(&PIECES)));
                    _ = params.insert(key, bent.map_or_else(number, Value::String));
                }
                _ => _ = params.insert(dice.word(&KEYS).to_owned(), value),
            }
        }
    }
    Value::Object(fields).to_string()
}

fn insert(line: &str, at: usize, what: &str) -> String {
    line.chars().take(at).chain(what.chars()).chain(line.chars().skip(at)).collect()
}

fn remove(line: &str, at: usize) -> String {
    line.chars().take(at).chain(line.chars().skip(at + 1)).collect()
}

fn with_another_case(line: &str, at: usize) -> String {
    let other = |(place, c): (usize, char)| match (place == at, c.is_uppercase()) {
        (false, _) => c,
        (true, true) => c.to_ascii_lowercase(),
        (true, false) => c.to_ascii_uppercase(),
    };
    line.chars().enumerate().map(other).collect()
}

fn with_a_look_alike(line: &str, at: usize) -> String {
    const LIKE: [(char, char); 14] = [
        ('a', 'а'),
        ('c', 'с'),
        ('e', 'е'),
        ('i', 'і'),
        ('o', 'о'),
        ('p', 'р'),
        ('s', 'ѕ'),
        ('k', '\u{212a}'),
        ('-', '‐'),
        ('/', '∕'),
        (' ', '\u{2003}'),
        ('=', '＝'),
        ('.', '․'),
        ('1', '１'),
    ];
    let other = |(place, c): (usize, char)| {
        LIKE.iter().find(|(from, _)| place >= at && *from == c).map_or(c, |(_, like)| *like)
    };
    line.chars().enumerate().map(other).collect()
}

/// Another number in the place of one of a line.
fn with_another_number(dice: &mut Dice<'_>, line: &str) -> String {
    let starts: Vec<usize> = line
        .char_indices()
        .filter(|(at, c)| c.is_ascii_digit() && !line[..*at].ends_with(|c: char| c.is_ascii_digit()))
        .map(|(at, _)| at)
        .collect();
    if starts.is_empty() {
        return line.to_owned();
    }
    let start = *dice.pick(&starts);
    let rest = line[start..].trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{}{}{rest}", &line[..start], dice.word(&NUMBERS))
}
