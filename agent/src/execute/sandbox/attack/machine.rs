//! The machine: mounts, modules, clocks, names, power, and the kernel's own doors.

use std::ffi::CStr;

use nix::libc;

use super::{Row, attempt, below_zero, buffer, text};

/// Where nothing is.
const NOWHERE: &CStr = c"/nonexistent/kernelsight-attack";
const NOTHING: usize = below_zero(-1);

pub(super) const ATTACKS: &[Row] = &[
    ("mount", |_| attempt(libc::SYS_mount, [text(c"none"), text(NOWHERE), text(c"tmpfs"), 0, 0])),
    ("umount", |_| attempt(libc::SYS_umount2, [text(NOWHERE), 0])),
    ("pivot_root", |_| attempt(libc::SYS_pivot_root, [text(NOWHERE), text(NOWHERE)])),
    ("chroot", |_| attempt(libc::SYS_chroot, [text(c"/")])),
    ("open_tree", |_| attempt(libc::SYS_open_tree, [below_zero(libc::AT_FDCWD), text(c"/"), 1])),
    ("move_mount", |_| attempt(libc::SYS_move_mount, [NOTHING, text(c""), NOTHING, text(NOWHERE), 0])),
    ("fsopen", |_| attempt(libc::SYS_fsopen, [text(c"tmpfs"), 0])),
    ("mount_setattr", |_| attempt(libc::SYS_mount_setattr, [NOTHING, text(NOWHERE), 0, 0, 0])),
    ("bpf", |_| {
        let mut attributes = [0u8; 72];
        attempt(libc::SYS_bpf, [0, buffer(&mut attributes), 72])
    }),
    ("perf_event_open", |_| {
        let mut attributes = [0u8; 112];
        attempt(libc::SYS_perf_event_open, [buffer(&mut attributes), 0, NOTHING, NOTHING, 0])
    }),
    ("io_uring", |_| {
        let mut parameters = [0u8; 120];
        attempt(libc::SYS_io_uring_setup, [1, buffer(&mut parameters)])
    }),
    ("keyctl", |_| attempt(libc::SYS_keyctl, [0, below_zero(-3), 0])),
    ("add_key", |_| attempt(libc::SYS_add_key, [text(c"user"), text(c"x"), text(c"x"), 1, below_zero(-2)])),
    ("request_key", |_| attempt(libc::SYS_request_key, [text(c"user"), text(c"x"), 0, below_zero(-2)])),
    ("init_module", |_| attempt(libc::SYS_init_module, [0, 0, text(c"")])),
    ("finit_module", |_| attempt(libc::SYS_finit_module, [NOTHING, text(c""), 0])),
    ("delete_module", |_| attempt(libc::SYS_delete_module, [text(c"kernelsight_none"), 0])),
    ("kexec_load", |_| attempt(libc::SYS_kexec_load, [0, 1000, 0, 0])),
    ("kexec_file_load", |_| attempt(libc::SYS_kexec_file_load, [NOTHING, NOTHING, 0, 0, 0])),
    ("reboot_without_its_word", |_| attempt(libc::SYS_reboot, [0, 0, 0, 0])),
    ("swapon", |_| attempt(libc::SYS_swapon, [text(NOWHERE), 0])),
    ("swapoff", |_| attempt(libc::SYS_swapoff, [text(NOWHERE)])),
    ("kernel_log", |_| {
        let mut log = [0u8; 64];
        attempt(libc::SYS_syslog, [3, buffer(&mut log), 64])
    }),
    ("acct", |_| attempt(libc::SYS_acct, [text(NOWHERE)])),
    ("quotactl", |_| attempt(libc::SYS_quotactl, [0x8000_0400, text(NOWHERE), 0, 0])),
    ("clock_settime", |_| {
        let mut time = [0u64; 2];
        attempt(libc::SYS_clock_settime, [999, buffer(&mut time)])
    }),
    ("settimeofday", |_| attempt(libc::SYS_settimeofday, [0, 0])),
    ("adjtimex", |_| {
        let mut nothing = [0u8; 256];
        attempt(libc::SYS_adjtimex, [buffer(&mut nothing)])
    }),
    ("clock_adjtime", |_| {
        let mut nothing = [0u8; 256];
        attempt(libc::SYS_clock_adjtime, [0, buffer(&mut nothing)])
    }),
    ("sethostname", |_| attempt(libc::SYS_sethostname, [text(c"x"), NOTHING])),
    ("setdomainname", |_| attempt(libc::SYS_setdomainname, [text(c"x"), NOTHING])),
    ("timer", |_| attempt(libc::SYS_timerfd_create, [libc::CLOCK_REALTIME as usize, 0])),
    ("eventfd", |_| attempt(libc::SYS_eventfd2, [0, 0])),
    ("epoll", |_| attempt(libc::SYS_epoll_create1, [0])),
    ("sync_one_disk", |ground| attempt(libc::SYS_syncfs, [ground.file()])),
    ("no_such_call", |_| attempt(4000, [])),
];

#[cfg(not(target_arch = "x86_64"))]
pub(super) const OF_THIS_ARCHITECTURE: &[Row] = &[];

#[cfg(target_arch = "x86_64")]
pub(super) const OF_THIS_ARCHITECTURE: &[Row] = &[
    ("x86_iopl", |_| attempt(libc::SYS_iopl, [3])),
    ("x86_ioperm", |_| attempt(libc::SYS_ioperm, [0x80, 1, 1])),
    ("x86_modify_ldt", |_| {
        let mut table = [0u8; 64];
        attempt(libc::SYS_modify_ldt, [0, buffer(&mut table), 64])
    }),
    ("x86_arch_prctl", |_| attempt(libc::SYS_arch_prctl, [0x1002, 0])),
    ("x86_open", |_| attempt(libc::SYS_open, [text(c"/etc/passwd"), 0, 0])),
    // The x32 numbers of the same calls.
    ("x86_x32_write", |_| attempt(0x4000_0001, [1, text(c""), 0])),
    ("x86_x32_openat", |_| attempt(0x4000_0101, [below_zero(libc::AT_FDCWD), text(c"/etc/passwd"), 0])),
];
