//! The node's own settings: moved one way only, within what the node has room for, and put back as they stood.

use std::{
    fs,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use kernelsight::execute::OutcomeStatus;
use serde_json::{Value, json};

use crate::execute_support::{Bench, is_root, sysctl};

/// One test at a time moves the settings that belong together.
fn dirty() -> MutexGuard<'static, ()> {
    static DIRTY: Mutex<()> = Mutex::new(());
    DIRTY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Settings of the node that a test moves; put back as they were however it ends.
struct Kept(Vec<(&'static str, String)>);

impl Kept {
    fn of(paths: &[&'static str]) -> Self {
        Self(paths.iter().map(|path| (*path, sysctl(path))).collect())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        for (path, before) in &self.0 {
            // Of a pair the kernel heeds one; the other reads 0, and does again once the first is written.
            if before != "0" && sysctl(path) != *before {
                let _ = fs::write(Path::new("/proc/sys").join(path), before);
            }
        }
    }
}

fn number(path: &str) -> u64 {
    sysctl(path).parse().unwrap()
}

fn denied(bench: &Bench, name: &str, params: Value) -> String {
    let denial = bench.judge(name, params).unwrap_err().denial();
    assert_eq!(denial.rule, "milder", "{}", denial.reason);
    denial.reason
}

#[test]
fn half_closed_connections_are_kept_for_less_time_and_then_as_long_as_before() {
    if !is_root() {
        return;
    }
    let (bench, path) = (Bench::new(), "net/ipv4/tcp_fin_timeout");
    let _kept = Kept::of(&[path]);
    let before = number(path);
    let outcome = bench.act("reduce_fin_timeout", json!({ "value": before / 2 }));
    assert_eq!(number(path), before / 2);
    assert!(denied(&bench, "reduce_fin_timeout", json!({ "value": before })).starts_with("it would not lower: "));
    bench.undo(&outcome).unwrap();
    assert_eq!(number(path), before);
}

#[test]
fn a_setting_of_one_number_is_raised_and_put_back() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    for (name, parameter, path) in [
        ("raise_min_free_kbytes", "kbytes", "vm/min_free_kbytes"),
        ("increase_conntrack_max", "value", "net/netfilter/nf_conntrack_max"),
        ("increase_rmem_max", "value", "net/core/rmem_max"),
        ("increase_wmem_max", "value", "net/core/wmem_max"),
        ("increase_tcp_backlog", "value", "net/core/somaxconn"),
    ] {
        let asked = |value: u64| json!({ parameter: value });
        if !Path::new("/proc/sys").join(path).exists() {
            let said = denied(&bench, name, asked(131_072));
            assert_eq!(said, format!("there is no {}", path.replace('/', ".")));
            continue;
        }
        let kept = Kept::of(&[path]);
        let before = number(path);
        let said = denied(&bench, name, asked(before));
        assert!(said.starts_with("it would not raise: "), "{said}");
        let outcome = bench.act(name, asked(before + 4096));
        assert_eq!(number(path), before + 4096, "{name}");
        let undone = bench.undo(&outcome).unwrap();
        assert_eq!((number(path), undone.status), (before, OutcomeStatus::Done), "{name}");
        drop(kept);
    }
}

#[test]
fn what_the_node_has_no_room_for_is_refused() {
    let bench = Bench::new();
    let kib = fs::read_to_string("/proc/meminfo").unwrap();
    let kib: i64 = kib.lines().next().unwrap().split_ascii_whitespace().nth(1).unwrap().parse().unwrap();
    for (name, params) in [
        ("raise_min_free_kbytes", json!({ "kbytes": kib / 16 })),
        ("increase_tcp_mem", json!({ "bytes": kib / 4 * 1024 })),
    ] {
        let said = denied(&bench, name, params);
        assert!(said.starts_with("the node has no room for "), "{name}: {said}");
    }
}

#[test]
fn dirty_memory_is_limited_in_bytes_and_the_ratio_that_stood_is_put_back() {
    if !is_root() {
        return;
    }
    let (bench, _alone) = (Bench::new(), dirty());
    for (name, bytes, ratio) in [
        ("limit_dirty_bytes", "vm/dirty_bytes", "vm/dirty_ratio"),
        ("limit_dirty_background_bytes", "vm/dirty_background_bytes", "vm/dirty_background_ratio"),
    ] {
        let _kept = Kept::of(&[bytes, ratio]);
        let stood = (sysctl(bytes), sysctl(ratio));
        if stood.0 != "0" {
            fs::write(Path::new("/proc/sys").join(ratio), "15").unwrap();
        }
        let before = (sysctl(bytes), sysctl(ratio));
        assert_eq!(before.0, "0", "{ratio} holds");
        let said = denied(&bench, name, json!({ "bytes": 64_u64 << 30 }));
        assert!(
            said.starts_with(&format!("it would not lower: {} is {} %, about ", ratio.replace('/', "."), before.1)),
            "{said}"
        );
        let outcome = bench.act(name, json!({ "bytes": 33_554_432 }));
        assert_eq!((sysctl(bytes), sysctl(ratio)), ("33554432".to_owned(), "0".to_owned()));
        // A second one finds bytes, not a ratio, and is taken back to these.
        let said = denied(&bench, name, json!({ "bytes": 33_554_432 }));
        assert!(said.ends_with(" is 33554432, and 33554432 was asked for"), "{said}");
        let lower = bench.act(name, json!({ "bytes": 20_000_000 }));
        bench.undo(&lower).unwrap();
        assert_eq!((sysctl(bytes), sysctl(ratio)), ("33554432".to_owned(), "0".to_owned()));
        let undone = bench.undo(&outcome).unwrap();
        assert_eq!((sysctl(bytes), sysctl(ratio)), before);
        let [bytes, ratio] = [bytes, ratio].map(|path| path.replace('/', "."));
        assert_eq!(undone.change, format!("{bytes} 33554432 -> {ratio} {}", before.1));
    }
}

#[test]
fn a_limit_of_dirty_memory_that_somebody_else_moved_is_left_alone() {
    if !is_root() {
        return;
    }
    let (bench, _alone) = (Bench::new(), dirty());
    let [bytes, ratio] = ["vm/dirty_background_bytes", "vm/dirty_background_ratio"];
    let _kept = Kept::of(&[bytes, ratio]);
    if sysctl(bytes) != "0" {
        return;
    }
    let outcome = bench.act("limit_dirty_background_bytes", json!({ "bytes": 33_554_432 }));
    fs::write(Path::new("/proc/sys").join(bytes), "25165824").unwrap();
    let undone = bench.undo(&outcome).unwrap();
    assert_eq!(undone.status, OutcomeStatus::LeftAlone, "{undone:?}");
    assert_eq!(sysctl(bytes), "25165824");
}

#[test]
fn the_range_of_ports_is_widened_never_narrowed_and_put_back() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let path = "net/ipv4/ip_local_port_range";
    let _kept = Kept::of(&[path]);
    let before = sysctl(path);
    let (low, high) = before.split_once('\t').unwrap();
    let (low, high): (u64, u64) = (low.parse().unwrap(), high.parse().unwrap());
    for (low, high) in [(low, high), (low + 1, high), (low - 10, high - 1)] {
        let said = denied(&bench, "widen_port_range", json!({ "low": low, "high": high }));
        assert!(said.starts_with("it would not widen: net.ipv4.ip_local_port_range is "), "{said}");
    }
    let listener = (low - 40..low).find_map(|port| std::net::TcpListener::bind(("127.0.0.1", port as u16)).ok());
    let listener = listener.unwrap();
    let port = u64::from(listener.local_addr().unwrap().port());
    let said = denied(&bench, "widen_port_range", json!({ "low": port, "high": high }));
    assert!(said.contains(&format!("port {port} is listened on")), "{said}");
    drop(listener);
    let outcome = bench.act("widen_port_range", json!({ "low": low - 20, "high": high + 20 }));
    assert_eq!(outcome.command, format!("sysctl -w net.ipv4.ip_local_port_range={},{}", low - 20, high + 20));
    assert_eq!(sysctl(path), format!("{}\t{}", low - 20, high + 20));
    bench.undo(&outcome).unwrap();
    assert_eq!(sysctl(path), before);
}

#[test]
fn ports_in_time_wait_serve_more_connections_and_then_as_few_as_before() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let path = "net/ipv4/tcp_tw_reuse";
    let _kept = Kept::of(&[path]);
    let before = sysctl(path);
    fs::write(Path::new("/proc/sys").join(path), "2").unwrap();
    let said = denied(&bench, "reuse_time_wait", json!({ "value": 2 }));
    assert_eq!(said, "it would not widen: net.ipv4.tcp_tw_reuse is 2, and 2 was asked for");
    let outcome = bench.act("reuse_time_wait", json!({}));
    assert_eq!(sysctl(path), "1");
    let said = denied(&bench, "reuse_time_wait", json!({ "value": 2 }));
    assert_eq!(said, "it would not widen: net.ipv4.tcp_tw_reuse is 1, and 2 was asked for");
    bench.undo(&outcome).unwrap();
    assert_eq!(sysctl(path), "2");
    fs::write(Path::new("/proc/sys").join(path), before).unwrap();
}

#[test]
fn the_memory_of_tcp_is_raised_in_all_three_numbers_and_put_back() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let path = "net/ipv4/tcp_mem";
    let _kept = Kept::of(&[path]);
    let before = sysctl(path);
    let pages = |text: &str| text.split('\t').map(|number| number.parse::<u64>().unwrap()).collect::<Vec<_>>();
    let stood = pages(&before);
    let asked = stood[2] + 600;
    let said = denied(&bench, "increase_tcp_mem", json!({ "bytes": stood[2] * 4096 }));
    assert!(said.starts_with("it would not raise: net.ipv4.tcp_mem is "), "{said}");
    let outcome = bench.act("increase_tcp_mem", json!({ "bytes": asked * 4096 }));
    let now = pages(&sysctl(path));
    assert!(now[2] == asked && now[0] >= stood[0] && now[1] >= stood[1], "{stood:?} -> {now:?}");
    bench.undo(&outcome).unwrap();
    assert_eq!(sysctl(path), before);
}

#[test]
fn memory_is_compacted_and_that_is_not_undone() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let outcome = bench.act("compact_memory", json!({}));
    assert_eq!(outcome.command, "sysctl -w vm.compact_memory=1");
    bench.undo(&outcome).unwrap_err();
}
