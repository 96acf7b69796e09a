//! Bytes of the rings, and the shape of what both sides share.

use agent_ebpf::{
    constants::Settings,
    wire::{self, BlockRecord, Device, Header, Kind, MemoryRecord, NumberRecord, SyscallRecord},
};
use aya::Pod;
use expect_test::{Expect, expect};
use kernelsight::observe::{
    event::What,
    kernel::Rows,
    ring::{Devices, decode},
};

fn header(kind: u32) -> Header {
    Header {
        at_ns: 5_000_000_123,
        start_boottime_ns: 12_345_678_901,
        cgroup_id: 77,
        kind,
        tgid: 812,
        comm: *b"a\"b\n\x1b[0m\0garbage",
    }
}

fn bytes<T: Pod>(record: &T) -> Vec<u8> {
    #[expect(unsafe_code, reason = "the bytes of a plain value, as the kernel writes them")]
    // SAFETY: a Pod is initialised in all its bytes.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(record).cast::<u8>(), size_of::<T>()) }.to_vec()
}

fn check(bytes: &[u8], expected: Expect) {
    let shown = match decode(bytes, &mut Devices::default()) {
        Ok(event) => serde_json::to_string(&event).unwrap(),
        Err(defect) => format!("defect: {defect}"),
    };
    expected.assert_eq(&shown);
}

fn number(kind: Kind, number: u64) -> Vec<u8> {
    bytes(&NumberRecord { header: header(kind as u32), number })
}

#[test]
fn every_kind_is_decoded_with_its_process_and_escaped_name() {
    check(
        &number(Kind::RssStep, 256 << 20),
        expect![[
            r#"{"at_ns":5000000123,"process":{"pid":812,"start_ticks":1234},"comm":"a\"b\\x0a\\x1b[0m","cgroup_id":77,"event":"rss_step","rss_bytes":268435456}"#
        ]],
    );
    check(
        &number(Kind::RunQueueOutlier, 60_000_000),
        expect![[
            r#"{"at_ns":5000000123,"process":{"pid":812,"start_ticks":1234},"comm":"a\"b\\x0a\\x1b[0m","cgroup_id":77,"event":"run_queue_outlier","latency_ns":60000000}"#
        ]],
    );
    check(
        &number(Kind::Fork, 813),
        expect![[
            r#"{"at_ns":5000000123,"process":{"pid":812,"start_ticks":1234},"comm":"a\"b\\x0a\\x1b[0m","cgroup_id":77,"event":"fork","child_pid":813}"#
        ]],
    );
    check(
        &number(Kind::Exec, 0),
        expect![[
            r#"{"at_ns":5000000123,"process":{"pid":812,"start_ticks":1234},"comm":"a\"b\\x0a\\x1b[0m","cgroup_id":77,"event":"exec"}"#
        ]],
    );
    check(
        &number(Kind::Exit, 9),
        expect![[
            r#"{"at_ns":5000000123,"process":{"pid":812,"start_ticks":1234},"comm":"a\"b\\x0a\\x1b[0m","cgroup_id":77,"event":"exit","exit_code":9}"#
        ]],
    );
    let memory = |kind: Kind| MemoryRecord { header: header(kind as u32), number: 4096, in_cgroup: 1 };
    check(
        &bytes(&memory(Kind::OomKill)),
        expect![[
            r#"{"at_ns":5000000123,"process":{"pid":812,"start_ticks":1234},"comm":"a\"b\\x0a\\x1b[0m","cgroup_id":77,"event":"oom_kill","rss_bytes":4096,"in_cgroup":true}"#
        ]],
    );
    check(
        &bytes(&memory(Kind::ReclaimStall)),
        expect![[
            r#"{"at_ns":5000000123,"process":{"pid":812,"start_ticks":1234},"comm":"a\"b\\x0a\\x1b[0m","cgroup_id":77,"event":"reclaim_stall","duration_ns":4096,"in_cgroup":true}"#
        ]],
    );
    let syscall = SyscallRecord { header: header(Kind::SyscallOutlier as u32), latency_ns: 1, syscall: 74 };
    check(
        &bytes(&syscall),
        expect![[
            r#"{"at_ns":5000000123,"process":{"pid":812,"start_ticks":1234},"comm":"a\"b\\x0a\\x1b[0m","cgroup_id":77,"event":"syscall_outlier","syscall":74,"latency_ns":1}"#
        ]],
    );
}

#[test]
fn a_block_device_that_is_gone_is_named_by_its_numbers() {
    let record = |kind: Kind, operation, error| BlockRecord {
        header: Header { tgid: 0, comm: [0; 16], start_boottime_ns: 0, ..header(kind as u32) },
        latency_ns: 200_000_000,
        bytes: 4096,
        device: Device { major: 4095, minor: 7 },
        operation,
        error,
    };
    check(
        &bytes(&record(Kind::BlockOutlier, 1, 0)),
        expect![[
            r#"{"at_ns":5000000123,"process":{"pid":0,"start_ticks":0},"comm":"","cgroup_id":77,"event":"block_outlier","device":"4095:7","operation":"write","latency_ns":200000000,"bytes":4096}"#
        ]],
    );
    // A block status since 5.16, a negative errno before.
    check(
        &bytes(&record(Kind::BlockError, 0, 10)),
        expect![[
            r#"{"at_ns":5000000123,"process":{"pid":0,"start_ticks":0},"comm":"","cgroup_id":77,"event":"block_error","device":"4095:7","operation":"read","errno":5}"#
        ]],
    );
    check(
        &bytes(&record(Kind::BlockError, 0, -28)),
        expect![[
            r#"{"at_ns":5000000123,"process":{"pid":0,"start_ticks":0},"comm":"","cgroup_id":77,"event":"block_error","device":"4095:7","operation":"read","errno":28}"#
        ]],
    );
}

#[test]
fn what_is_no_record_is_a_named_defect() {
    check(&[], expect!["defect: a record of 0 bytes is shorter than its header of 48"]);
    check(&[1; 47], expect!["defect: a record of 47 bytes is shorter than its header of 48"]);
    check(&bytes(&header(Kind::RssStep as u32)), expect!["defect: a record of kind 1 has 48 bytes, not 56"]);
    let mut long = number(Kind::Fork, 1);
    long.push(0);
    check(&long, expect!["defect: a record of kind 8 has 57 bytes, not 56"]);
    check(&bytes(&NumberRecord { header: header(99), number: 0 }), expect!["defect: no record is of kind 99"]);
}

#[test]
fn a_number_larger_than_what_it_stands_for_is_a_named_defect() {
    check(
        &number(Kind::Fork, 1 << 32),
        expect!["defect: a record of kind 8 tells 4294967296, which is more than it can"],
    );
    check(
        &number(Kind::Exit, u64::MAX),
        expect!["defect: a record of kind 10 tells 18446744073709551615, which is more than it can"],
    );
    let header = header(Kind::SyscallOutlier as u32);
    let syscall = SyscallRecord { header, latency_ns: 1, syscall: (1 << 32) + 74 };
    check(&bytes(&syscall), expect!["defect: a record of kind 6 tells 4294967370, which is more than it can"]);
    let memory = MemoryRecord { header: Header { kind: Kind::OomKill as u32, ..header }, number: 1, in_cgroup: 2 };
    check(&bytes(&memory), expect!["defect: a record of kind 2 tells 2, which is more than it can"]);
}

#[test]
fn the_least_error_of_a_block_device_has_a_positive_errno() {
    let header = header(Kind::BlockError as u32);
    let record = BlockRecord { header, error: i32::MIN, ..BlockRecord::default() };
    let event = decode(&bytes(&record), &mut Devices::default()).unwrap();
    assert!(matches!(event.what, What::BlockError { errno: i32::MAX, .. }), "{event:?}");
}

#[test]
fn rows_beyond_all_bounds_read_as_the_highest() {
    let mut rows = Rows::new(&Settings { page_bytes: 4096, ..Settings::NONE });
    let row_bytes = u32::try_from(size_of::<wire::ProcessRow>()).unwrap();
    let counters = |run_delay_ns| wire::TaskCounters { run_delay_ns, ..wire::TaskCounters::default() };
    let row = |run_delay_ns| {
        let thread =
            wire::ThreadRow { row_bytes, tgid: 812, counters: counters(run_delay_ns), ..wire::ThreadRow::default() };
        let pages = i64::MAX;
        bytes(&wire::ProcessRow {
            thread,
            ended: counters(u64::MAX - 5),
            start_boottime_ns: 1,
            static_prio: i32::MIN,
            file_pages: pages,
            anon_pages: pages,
            ..wire::ProcessRow::default()
        })
    };
    let first = rows.take(&row(1)).unwrap();
    let then = rows.take(&row(100)).unwrap();
    assert_eq!((first[0].sample.rss_bytes, first[0].sample.nice), (u64::MAX, 0));
    assert_eq!((first[0].sample.run_delay_ns, then[0].sample.run_delay_ns), (Some(u64::MAX - 4), Some(u64::MAX)));
    let cut = rows.take(&row(1)[..200]).unwrap_err().to_string();
    expect!["the task iterator wrote a row of 256 bytes with 200 left"].assert_eq(&cut);
}

#[test]
fn no_flipped_or_cut_bytes_are_more_than_a_defect() {
    let record = number(Kind::RssStep, 1);
    for cut in 0..record.len() {
        assert!(decode(&record[..cut], &mut Devices::default()).is_err(), "{cut} bytes");
    }
    for at in 0..record.len() {
        for flipped in [0x00, 0x7f, 0xff] {
            let mut bytes = record.clone();
            bytes[at] = flipped;
            if let Ok(event) = decode(&bytes, &mut Devices::default()) {
                assert!(event.comm.text().as_str().bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{event:?}");
            }
        }
    }
}

#[test]
fn shared_types_are_as_long_as_their_fields() {
    let lengths = format!(
        "{:?}",
        [
            size_of::<Header>(),
            size_of::<NumberRecord>(),
            size_of::<MemoryRecord>(),
            size_of::<SyscallRecord>(),
            size_of::<BlockRecord>(),
            size_of::<wire::ThreadRow>(),
            size_of::<wire::ProcessRow>(),
            size_of::<wire::BlockSlot>(),
            size_of::<wire::Start>(),
            size_of::<wire::ErrorValue>(),
        ]
    );
    expect!["[48, 56, 64, 64, 80, 80, 256, 304, 16, 16]"].assert_eq(&lengths);
    // A value of a per-CPU map is at most 32 KiB.
    let per_cpu =
        [size_of::<wire::SyscallCounts>(), size_of::<wire::SyscallLatency>(), size_of::<wire::BlockCounters>()];
    assert!(per_cpu.iter().all(|bytes| *bytes <= 32 << 10), "{per_cpu:?}");
    let offsets = [
        std::mem::offset_of!(Header, kind),
        std::mem::offset_of!(Header, comm),
        std::mem::offset_of!(BlockRecord, device),
        std::mem::offset_of!(wire::ProcessRow, ended),
        std::mem::offset_of!(wire::ProcessRow, start_boottime_ns),
        std::mem::offset_of!(wire::ProcessRow, comm),
        std::mem::offset_of!(wire::ProcessRow, has_memory),
    ];
    expect!["[24, 32, 64, 80, 160, 232, 248]"].assert_eq(&format!("{offsets:?}"));
}
