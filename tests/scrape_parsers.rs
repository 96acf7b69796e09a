//! The texts of the kernel, by value: hostile, old, new, cut and garbled ones.

use kernelsight::{
    observe::{
        ProcessId,
        sample::Tcp,
        scrape::{
            CgroupMounts, Controller, Document, ScrapeError, cgroups, cpu, disks, files, filesystems, interfaces, load,
            memory, pressure, processes, sockets, tcp, vmstat,
        },
    },
    text::Text,
};

fn text(text: &str) -> Document<'_> {
    Document::new("/proc/test", text.as_bytes())
}

fn error<T: std::fmt::Debug>(result: Result<T, ScrapeError>) -> String {
    result.expect_err("this text is wrong").to_string()
}

/// `/proc/PID/stat` of pid 812 with that name, as Linux 6.18 writes it.
fn stat_of(name: &[u8]) -> Vec<u8> {
    let mut line = b"812 (".to_vec();
    line.extend_from_slice(name);
    line.extend_from_slice(
        b") R 12 13 14 0 -1 4194304 98 1 7 2 150 50 9 9 20 -5 3 0 123341 3133440 410 18446744073709551615 94855574196224 \
          94855574216105 140733010173504 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 94855574232112 94855574233728 94856324587520 \
          140733010176724 140733010176758 140733010176758 140733010178027 0\n",
    );
    line
}

#[test]
fn a_process_is_read_by_its_fields() {
    let stat = stat_of(b"worker");
    let process = processes::parse::stat(Document::new("stat", &stat), 4096, 100).unwrap();
    assert_eq!(process.id, ProcessId { pid: 812, start_ticks: 123_341 });
    assert_eq!((process.parent_pid, process.threads, process.nice), (12, 3, -5));
    assert_eq!((process.minor_faults, process.major_faults), (98, 7));
    assert_eq!(process.cpu_time_ns, 2_000_000_000);
    assert_eq!(process.rss_bytes, 410 * 4096);
    assert!(!process.kernel_thread);
    assert_eq!(process.open_files, None);
}

#[test]
fn a_name_of_parentheses_spaces_and_newlines_does_not_move_the_fields() {
    for name in [
        b"a) R 1 1".as_slice(),
        b"(sd-pam)",
        b") S 1\n2 (x",
        b"a b\tc",
        b"\xff\xfe\x80",
        "héß".as_bytes(),
        b"",
        b")))))",
    ] {
        let stat = stat_of(name);
        let process = processes::parse::stat(Document::new("stat", &stat), 4096, 100).unwrap();
        assert_eq!(process.id, ProcessId { pid: 812, start_ticks: 123_341 }, "{name:?}");
        assert_eq!(process.rss_bytes, 410 * 4096);
        assert_eq!(process.comm, Text::from_bytes(name));
    }
}

#[test]
fn a_kernel_thread_is_known_by_its_flag() {
    let stat = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 1 0 0 20 0 1 0 5 0 0 1844 0 0 0";
    let process = processes::parse::stat(text(stat), 4096, 100).unwrap();
    assert!(process.kernel_thread);
    assert_eq!((process.parent_pid, process.rss_bytes), (0, 0));
}

#[test]
fn a_process_that_is_cut_short_is_an_error_that_says_where() {
    assert_eq!(
        error(processes::parse::stat(text("812 (x) R 12 13"), 4096, 100)),
        "/proc/test, line 1: `812 (x) R 12 13` is not a number"
    );
    assert_eq!(error(processes::parse::stat(text("812 x R 12"), 4096, 100)), "/proc/test: no name in parentheses");
    assert_eq!(error(processes::parse::stat(text(")812 (x"), 4096, 100)), "/proc/test: no name in parentheses");
    assert_eq!(error(processes::parse::stat(text(""), 4096, 100)), "/proc/test: no name in parentheses");
}

#[test]
fn a_status_without_memory_is_that_of_a_kernel_thread() {
    let status = processes::parse::status(text(
        "Name:\tkthreadd\nState:\tS (sleeping)\nvoluntary_ctxt_switches:\t285\nnonvoluntary_ctxt_switches:\t3\n",
    ))
    .unwrap();
    assert_eq!((status.swap_bytes, status.voluntary_switches, status.involuntary_switches), (0, Some(285), Some(3)));
    let status = processes::parse::status(text("Name:\tx\nVmSwap:\t     128 kB\n")).unwrap();
    assert_eq!((status.swap_bytes, status.voluntary_switches), (128 << 10, None));
}

#[test]
fn what_a_process_reads_and_writes_is_that_of_devices() {
    let io = text(
        "rchar: 7277\nwchar: 301\nsyscr: 12\nsyscw: 1\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 5\n",
    );
    assert_eq!(processes::parse::io(io).unwrap(), (4096, 8192));
    assert_eq!(error(processes::parse::io(text("read_bytes: 1\n"))), "/proc/test: no write_bytes:");
    assert_eq!(processes::parse::run_delay(text("179460559 18749728 367\n")).unwrap(), 18_749_728);
}

#[test]
fn a_cgroup_is_the_memory_controllers_or_else_the_unified_ones() {
    let cgroup = |lines| processes::parse::cgroup(text(lines)).unwrap().to_string();
    assert_eq!(cgroup("0::/system.slice/a.service\n"), "/system.slice/a.service");
    assert_eq!(cgroup("5:devices:/d\n4:memory:/m\n2:cpu,cpuacct:/c\n0::/u\n"), "/m");
    assert_eq!(cgroup("4:memory:/\n0::/u\n"), "/u");
    assert_eq!(cgroup("4:memory:/\n0::/\n"), "/");
    assert_eq!(cgroup("9:name=systemd:/s\n"), "/");
    assert_eq!(cgroup("0::/a:b:c\n"), "/a:b:c");
    assert_eq!(cgroup("0::/getty\\x2dtty\n"), "/getty\\\\x2dtty");
    assert_eq!(
        error(processes::parse::cgroup(text("0::/\nrubbish\n"))),
        "/proc/test, line 2: `rubbish` is not number:controllers:path"
    );
}

#[test]
fn a_limit_of_open_files_is_the_soft_one() {
    let limit = |value: &str| {
        let lines = format!(
            "Limit                     Soft Limit           Hard Limit           Units     \n\
             Max open files            {value:20} 524288               files     \n"
        );
        processes::parse::open_files_limit(text(&lines)).map_err(|error| error.to_string())
    };
    assert_eq!(limit("1024"), Ok(Some(1024)));
    assert_eq!(limit("unlimited"), Ok(None));
    assert!(limit("many").is_err_and(|error| error.ends_with("line 2: `many` is not a limit")));
    assert_eq!(error(processes::parse::open_files_limit(text("Limit\n"))), "/proc/test: no line `Max open files`");
}

const MEMINFO: &str = "MemTotal:       24683656 kB\nMemFree:        20834412 kB\nMemAvailable:   24225684 kB\n\
    Buffers:           14100 kB\nCached:          3426604 kB\nSwapTotal:        1024 kB\nSwapFree:            512 kB\n\
    Dirty:               208 kB\nWriteback:             4 kB\nAnonPages:          9600 kB\nSReclaimable:     276492 kB\n";

#[test]
fn memory_is_in_bytes() {
    let memory = memory::parse(text(MEMINFO)).unwrap();
    assert_eq!(memory.total_bytes, 24_683_656 << 10);
    assert_eq!(memory.available_bytes, 24_225_684 << 10);
    assert_eq!((memory.anonymous_bytes, memory.slab_reclaimable_bytes), (9600 << 10, 276_492 << 10));
    assert_eq!((memory.swap_total_bytes, memory.swap_free_bytes), (1024 << 10, 512 << 10));
    assert_eq!((memory.dirty_bytes, memory.writeback_bytes), (208 << 10, 4 << 10));
}

#[test]
fn a_missing_or_garbled_line_of_memory_is_an_error_never_zero() {
    assert_eq!(
        error(memory::parse(text(&MEMINFO.replace("MemAvailable:", "MemAvailible:")))),
        "/proc/test: no MemAvailable:"
    );
    assert_eq!(
        error(memory::parse(text(&MEMINFO.replace("20834412", "2083x412")))),
        "/proc/test, line 2: `2083x412` is not a number"
    );
    assert_eq!(
        error(memory::parse(text(&MEMINFO.replace("20834412 kB", "")))),
        "/proc/test, line 2: `MemFree:        ` is not a number"
    );
    assert_eq!(
        error(memory::parse(text(&MEMINFO.replace("14100", "-14100")))),
        "/proc/test, line 4: `-14100` is not a number"
    );
    assert_eq!(error(memory::parse(text("\0\0\0"))), "/proc/test: no MemTotal:");
}

#[test]
fn an_error_shows_a_line_of_a_stranger_escaped_and_cut() {
    let long = format!("MemTotal: {}\n", "\u{1b}[31m9".repeat(100_000));
    let error = error(memory::parse(text(&long)));
    assert!(error.starts_with("/proc/test, line 1: `\\x1b[31m9"), "{error}");
    assert!(error.len() < 400 && error.is_ascii() | error.contains('…'), "{error}");
}

#[test]
fn refaults_of_old_kernels_and_stalls_of_all_zones_are_taken_in() {
    const COMMON: &str = "pgfault 10\npgmajfault 2\npgscan_direct 3\npgsteal_direct 4\npgscan_kswapd 5\noom_kill 6\n";
    let old = vmstat::parse(text(&format!("{COMMON}workingset_refault 9\nallocstall_normal 7\nallocstall_dma32 1\n")))
        .unwrap();
    assert_eq!((old.refault_file_pages, old.refault_anon_pages, old.allocation_stalls), (9, 0, 8));
    assert_eq!((old.swap_in_pages, old.oom_kills), (0, 6));
    let new = format!("pswpin 1\npswpout 2\n{COMMON}workingset_refault_anon 3\nworkingset_refault_file 4\n");
    let new = vmstat::parse(text(&new)).unwrap();
    assert_eq!((new.swap_in_pages, new.swap_out_pages, new.refault_anon_pages, new.refault_file_pages), (1, 2, 3, 4));
    assert_eq!(error(vmstat::parse(text(COMMON))), "/proc/test: no workingset_refault_file");
}

#[test]
fn load_has_two_numbers_in_one_field() {
    let load = load::parse(text("0.08 0.35 12.31 3/870 12017\n")).unwrap();
    assert_eq!((load.one, load.five, load.fifteen, load.runnable, load.tasks), (0.08, 0.35, 12.31, 3, 870));
    assert_eq!(
        error(load::parse(text("0.08 0.35 0.31 870 1\n"))),
        "/proc/test, line 1: `0.08 0.35 0.31 870 1` is not runnable/tasks"
    );
}

#[test]
fn cpu_times_are_in_ns_and_cpus_are_counted() {
    let long = "0 ".repeat(200_000);
    let stat = format!(
        "cpu  45744 1 10123 188926 924 2 127 13 5 6\ncpu0 1 0 1 1 0 0 0 0 0 0\ncpu3 1 0 1 1 0 0 0 0 0 0\n\
         intr 460145 {long}\nctxt 687017\nbtime 1\nprocesses 12017\nprocs_running 3\nprocs_blocked 1\nsoftirq 1 2\n"
    );
    let cpu = cpu::parse(text(&stat), 100).unwrap();
    assert_eq!((cpu.online, cpu.user_ns, cpu.nice_ns), (2, 457_440_000_000, 10_000_000));
    assert_eq!((cpu.irq_ns, cpu.steal_ns), (1_290_000_000, 130_000_000));
    assert_eq!((cpu.context_switches, cpu.forks, cpu.running, cpu.blocked), (687_017, 12_017, 3, 1));
    assert_eq!(error(cpu::parse(text("ctxt 1\n"), 100)), "/proc/test: no line `cpu`");
    assert_eq!(error(cpu::parse(text("cpu 1 2 3\n"), 100)), "/proc/test, line 1: `cpu 1 2 3` is not a number");
}

#[test]
fn pressure_is_read_with_and_without_a_line_for_all_tasks() {
    let psi = pressure::parse(text(
        "some avg10=0.12 avg60=0.34 avg300=0.86 total=23829997\nfull avg10=1.50 avg60=2.00 avg300=0.00 total=17\n",
    ))
    .unwrap();
    assert_eq!((psi.some_avg10_percent, psi.some_avg60_percent, psi.some_total_us), (0.12, 0.34, 23_829_997));
    assert_eq!((psi.full_avg10_percent, psi.full_avg60_percent, psi.full_total_us), (1.5, 2.0, 17));
    let old = pressure::parse(text("some avg10=0.12 avg60=0.34 avg300=0.86 total=5\n")).unwrap();
    assert_eq!((old.some_total_us, old.full_total_us), (5, 0));
    assert_eq!(
        error(pressure::parse(text("some avg10=0.12 avg60=0.34\n"))),
        "/proc/test, line 1: `some avg10=0.12 avg60=0.34` is not avg10, avg60 and total"
    );
    assert_eq!(error(pressure::parse(text(""))), "/proc/test: no line `some`");
}

#[test]
fn disks_of_old_and_new_kernels_have_the_same_counters() {
    let new = " 254 0 vda 64030 8806 8774882 50193 51995 72275 27248456 103312 7 15132 155500 17636 56 11504896 1969 686 25\n";
    let old = " 254 0 vda 64030 8806 8774882 50193 51995 72275 27248456 103312 7 15132 155500\n";
    for line in [new, old] {
        let disks = disks::parse(text(line)).unwrap();
        let disk = &disks[0];
        assert_eq!((disk.major, disk.minor, disk.name.as_str()), (254, 0, "vda"));
        assert_eq!((disk.reads, disk.read_bytes, disk.read_time_ms), (64_030, 8_774_882 * 512, 50_193));
        assert_eq!((disk.writes, disk.written_bytes, disk.write_time_ms), (51_995, 27_248_456 * 512, 103_312));
        assert_eq!((disk.in_flight, disk.busy_ms, disk.queue_time_ms), (7, 15_132, 155_500));
    }
    assert_eq!(error(disks::parse(text("254 0 vda 1 2\n"))), "/proc/test, line 1: `254 0 vda 1 2` is not a number");
}

#[test]
fn an_interface_is_named_before_the_colon_even_where_no_space_follows() {
    let dev = "Inter-|   Receive\n face |bytes\n    lo:    3193      29    1    2    0     0          0         0     4193      30    3    4    0     0       0          0\n\
               eth0.5:353378871 12391 0 0 0 0 0 0 743170 6761 0 0 0 0 0 0\n";
    let interfaces = interfaces::parse(text(dev)).unwrap();
    let lo = &interfaces[0];
    assert_eq!(
        (lo.name.as_str(), lo.received_bytes, lo.received_packets, lo.received_errors, lo.received_dropped),
        ("lo", 3193, 29, 1, 2)
    );
    assert_eq!((lo.sent_bytes, lo.sent_packets, lo.sent_errors, lo.sent_dropped), (4193, 30, 3, 4));
    assert_eq!((interfaces[1].name.as_str(), interfaces[1].received_bytes), ("eth0.5", 353_378_871));
    assert_eq!(error(interfaces::parse(text("a\nb\nlo 1 2\n"))), "/proc/test, line 3: `lo 1 2` is not an interface");
}

#[test]
fn tcp_columns_are_found_by_name_wherever_they_stand() {
    let mut tcp = Tcp::default();
    let snmp = "Ip: A B\nIp: 1 2\nTcp: MaxConn ActiveOpens AttemptFails NewThing CurrEstab OutSegs RetransSegs InErrs OutRsts\n\
                Tcp: -1 108 3 99 7 6662 5 1 98\n";
    assert_eq!(tcp::parse_snmp(text(snmp), &mut tcp).unwrap(), 7);
    assert_eq!((tcp.active_opens, tcp.attempt_fails, tcp.sent_segments), (108, 3, 6662));
    assert_eq!((tcp.retransmitted_segments, tcp.received_errors, tcp.resets_sent), (5, 1, 98));
    tcp::parse_netstat(text("TcpExt: X ListenOverflows ListenDrops\nTcpExt: 1 2 3\nIpExt: A\nIpExt: 1\n"), &mut tcp)
        .unwrap();
    assert_eq!((tcp.listen_overflows, tcp.listen_drops), (2, 3));
    assert_eq!(
        error(tcp::parse_netstat(text("TcpExt: ListenOverflows\nTcpExt: 1\n"), &mut tcp)),
        "/proc/test: no ListenDrops"
    );
    assert_eq!(error(tcp::parse_netstat(text("TcpExt: ListenOverflows\n"), &mut tcp)), "/proc/test: no TcpExt:");
}

#[test]
fn sockets_of_a_table_are_counted_by_state() {
    let mut states = tcp::States::default();
    let line = |state: &str| {
        format!("   0: 0100007F:07E8 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 1\n")
    };
    let lines: String = ["0A", "01", "06", "02", "03", "04", "05", "08", "08", "0C"].map(line).concat();
    tcp::parse_table(text(&lines), &mut states).unwrap();
    assert_eq!(states, tcp::States { syn_sent: 1, syn_recv: 2, fin_wait: 2, close_wait: 2, listen: 1 });
    assert!(tcp::parse_table(text("0: a b zz\n"), &mut states).is_err());
}

#[test]
fn sockets_in_use_are_those_of_their_protocol() {
    let sockets = sockets::parse(text(
        "sockets: used 12\nTCP: inuse 1 orphan 2 tw 3 alloc 4 mem 226\nUDP: inuse 5 mem 0\nUDPLITE: inuse 9\n",
    ))
    .unwrap();
    assert_eq!((sockets.used, sockets.tcp_in_use, sockets.tcp_orphan), (12, 1, 2));
    assert_eq!((sockets.tcp_time_wait, sockets.tcp_memory_pages, sockets.udp_in_use), (3, 226, 5));
    assert_eq!(sockets::parse_v6(text("TCP6: inuse 4\nUDP6: inuse 2\n")).unwrap(), (4, 2));
    assert_eq!(error(sockets::parse(text("sockets: used 12\n"))), "/proc/test: no TCP:");
}

#[test]
fn open_files_of_the_node_are_the_allocated_ones_in_use() {
    let files = files::parse(text("432\t32\t9223372036854775807\n")).unwrap();
    assert_eq!((files.allocated, files.maximum), (400, i64::MAX as u64));
}

#[test]
fn cgroup_limits_of_both_versions_tell_none_from_a_number() {
    use cgroups::parse::{v1_limit, v1_quota_percent, v2_quota_percent};
    assert_eq!(v1_limit(text("9223372036854771712\n")).unwrap(), None);
    assert_eq!(v1_limit(text("67108864\n")).unwrap(), Some(64 << 20));
    assert_eq!(text("max\n").number_or_max().unwrap(), None);
    assert_eq!(text("67108864\n").number_or_max().unwrap(), Some(64 << 20));
    assert_eq!(v2_quota_percent(text("max 100000\n")).unwrap(), None);
    assert_eq!(v2_quota_percent(text("150000 100000\n")).unwrap(), Some(150.0));
    assert_eq!((v1_quota_percent(-1, 100_000), v1_quota_percent(20_000, 100_000)), (None, Some(20.0)));
    assert_eq!(error(v2_quota_percent(text("much 100000\n"))), "/proc/test, line 1: `much` is not a quota");
}

#[test]
fn cgroup_counters_of_both_versions_are_found_by_name() {
    let full = "usage_usec 559975458\nuser_usec 4\nnr_periods 10\nnr_throttled 3\nthrottled_usec 250\n";
    let cpu = cgroups::parse::v2_cpu_stat(text(full)).unwrap();
    assert_eq!(
        (cpu.usage_ns, cpu.periods, cpu.throttled_periods, cpu.throttled_ns),
        (Some(559_975_458_000), 10, 3, 250_000)
    );
    let bare = cgroups::parse::v2_cpu_stat(text("usage_usec 5\n")).unwrap();
    assert_eq!((bare.usage_ns, bare.quota_percent, bare.periods), (Some(5000), None, 0));
    assert_eq!(
        cgroups::parse::v1_cpu_stat(text("nr_periods 9\nnr_throttled 8\nthrottled_time 7\n")).unwrap(),
        [9, 8, 7]
    );
    assert_eq!(
        cgroups::parse::v1_memory_stat(text("cache 1\nrss 2\ntotal_cache 10\ntotal_rss 20\n")).unwrap(),
        (20, 10)
    );
    assert_eq!(cgroups::parse::v2_memory_stat(text("anon 3\nfile 4\n")).unwrap(), (3, 4));
    assert_eq!(
        cgroups::parse::v2_memory_events(text("low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 0\n")).unwrap(),
        (2, 4)
    );
}

#[test]
fn hierarchies_are_found_v2_alone_v1_alone_and_both() {
    let v2 = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    let mounts = CgroupMounts::parse(text(v2)).unwrap();
    assert_eq!(mounts.unified().unwrap().to_str(), Some("/sys/fs/cgroup"));
    assert_eq!(mounts.v1(Controller::Memory), None);
    let hybrid = "1 2 0:1 / / rw - ext4 /dev/vda rw\n32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                  35 31 0:32 / /sys/fs/cgroup/my\\040memory rw shared:1 master:2 - cgroup cgroup rw,memory\n\
                  40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                  41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                  42 31 0:32 /docker/x /inside rw - cgroup cgroup rw,pids\n";
    let mounts = CgroupMounts::parse(text(hybrid)).unwrap();
    assert_eq!(mounts.unified().unwrap().to_str(), Some("/sys/fs/cgroup/unified"));
    assert_eq!(mounts.v1(Controller::Memory).unwrap().to_str(), Some("/sys/fs/cgroup/my memory"));
    assert_eq!(mounts.v1(Controller::CpuAccounting), mounts.v1(Controller::Cpu));
    assert_eq!(mounts.v1(Controller::Cpu).unwrap().to_str(), Some("/sys/fs/cgroup/cpu,cpuacct"));
    assert_eq!(mounts.v1(Controller::Pids), None, "a part of a hierarchy is not the hierarchy");
    assert!(CgroupMounts::parse(text("")).unwrap().is_empty());
    assert!(CgroupMounts::parse(Document::new("m", b"1 2 0:1 / /mnt/\xff\xfe rw - fuse x rw\n")).unwrap().is_empty());
    assert_eq!(error(CgroupMounts::parse(text("1 2 3\n"))), "/proc/test, line 1: `1 2 3` is not a mount");
}

#[test]
fn escaped_text_gives_back_what_was_written_unless_it_was_cut() {
    for bytes in [b"/a/b".as_slice(), b"/getty\\x2dtty.slice", b"/\xff\n\\\\n", b""] {
        assert_eq!(Text::from_bytes(bytes).unescape().as_deref(), Some(bytes));
    }
    assert_eq!(Text::from_bytes(&[b'a'; 300]).unescape(), None);
}

#[test]
fn local_filesystems_are_found_once_and_others_are_not_asked() {
    let mounts = filesystems::parse(text(
        "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n\
         23 22 254:1 /var/lib/x /srv rw - ext4 /dev/vda1 rw\n\
         24 22 0:21 / /proc rw - proc proc rw\n\
         25 22 0:40 / /mnt/share rw - nfs4 server:/share rw\n\
         26 22 0:41 / /mnt/phone rw - fuse.jmtpfs jmtpfs rw\n\
         27 22 7:0 / /mnt/a\\040b rw master:2 - xfs /dev/loop0 rw\n\
         28 22 0:50 / /dev/shm rw - tmpfs tmpfs rw\n\
         29 28 7:1 / /dev/shm rw - ext4 /dev/loop1 rw\n\
         30 22 0:60 / /run/c/rootfs rw - overlay overlay rw,lowerdir=/l,upperdir=/mnt/a\\040b/up,workdir=/mnt/w\n",
    ))
    .unwrap();
    let told: Vec<String> = mounts.iter().map(|mount| format!("{} {}", mount.kind, mount.path.display())).collect();
    assert_eq!(told, ["ext4 /", "xfs /mnt/a b", "ext4 /dev/shm"]);
    let numbers = |mount: &filesystems::Mount| -> Vec<String> {
        mount.devices.iter().map(|device| format!("{}:{}", device.major, device.minor)).collect()
    };
    assert_eq!(numbers(&mounts[0]), ["254:1"]);
    assert_eq!(numbers(&mounts[1]), ["7:0", "0:60"], "what is written to the overlay lands there");
    for line in ["22 1 254:1 / / rw", "22 1 254 / / rw - ext4 /dev/vda1 rw"] {
        let refused = format!("/proc/test, line 1: `{line}` is not a mount");
        assert_eq!(error(filesystems::parse(text(&format!("{line}\n")))), refused);
    }
}
