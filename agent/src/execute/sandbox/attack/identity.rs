//! Who it is and what it may: users, groups, capabilities, filters, limits.

use nix::libc;

use super::{Row, attempt, below_zero, buffer};

/// As it is: no change.
const SAME: usize = below_zero(-1);

pub(super) const ATTACKS: &[Row] = &[
    ("setuid", |_| attempt(libc::SYS_setuid, [0])),
    ("setgid", |_| attempt(libc::SYS_setgid, [0])),
    ("setreuid", |_| attempt(libc::SYS_setreuid, [SAME, 0])),
    ("setresuid", |_| attempt(libc::SYS_setresuid, [0, 0, 0])),
    ("setresgid", |_| attempt(libc::SYS_setresgid, [0, 0, 0])),
    ("setfsuid", |_| attempt(libc::SYS_setfsuid, [0])),
    ("setgroups", |_| {
        let mut groups = [0u32; 1];
        attempt(libc::SYS_setgroups, [1, buffer(&mut groups)])
    }),
    ("capset", |_| {
        // _LINUX_CAPABILITY_VERSION_3, and all there are.
        let (mut head, mut sets) = ([0x2008_0522u32, 0], [u32::MAX; 6]);
        attempt(libc::SYS_capset, [buffer(&mut head), buffer(&mut sets)])
    }),
    ("become_dumpable", |_| prctl([libc::PR_SET_DUMPABLE as usize, 1])),
    ("regain_privileges", |_| prctl([libc::PR_SET_NO_NEW_PRIVS as usize, 0])),
    ("keep_capabilities", |_| prctl([libc::PR_SET_KEEPCAPS as usize, 1])),
    ("loosen_user_0", |_| prctl([libc::PR_SET_SECUREBITS as usize, 0])),
    ("outlive_the_daemon", |_| prctl([libc::PR_SET_PDEATHSIG as usize, 0])),
    ("move_its_memory_map", |_| prctl([libc::PR_SET_MM as usize, libc::PR_SET_MM_START_BRK as usize])),
    ("let_a_stranger_trace_it", |ground| prctl([libc::PR_SET_PTRACER as usize, ground.stranger as usize])),
    ("filter_by_prctl", |_| prctl([libc::PR_SET_SECCOMP as usize, libc::SECCOMP_MODE_FILTER as usize])),
    ("filter", |_| attempt(libc::SYS_seccomp, [libc::SECCOMP_SET_MODE_FILTER as usize, 0, 0])),
    ("landlock", |_| attempt(libc::SYS_landlock_restrict_self, [below_zero(-1), 0])),
    ("personality", |_| attempt(libc::SYS_personality, [libc::READ_IMPLIES_EXEC as usize])),
    ("raise_a_limit", |_| {
        let mut limit = [u64::MAX; 2];
        attempt(libc::SYS_prlimit64, [0, libc::RLIMIT_AS as usize, buffer(&mut limit), 0])
    }),
    ("setrlimit", |_| {
        let mut limit = [u64::MAX; 2];
        attempt(libc::SYS_setrlimit, [libc::RLIMIT_NPROC as usize, buffer(&mut limit)])
    }),
];

fn prctl<const N: usize>(given: [usize; N]) -> Result<(), nix::errno::Errno> {
    attempt(libc::SYS_prctl, given)
}
