//! Processes: made, replaced, looked into, signalled, and ordered about.

use nix::{errno::Errno, libc};

use super::{Ground, Row, attempt, below_zero, buffer, call, text};

pub(super) const ATTACKS: &[Row] = &[
    ("fork", |_| fork(0)),
    ("fork_bomb", |_| (0..100).try_for_each(|_| fork(0))),
    ("fork_by_clone3", |_| {
        let mut how = [0u64; 11];
        how[4] = libc::SIGCHLD as u64;
        leave_if_child(call(libc::SYS_clone3, [buffer(&mut how), size_of_val(&how)])?)
    }),
    ("thread", |_| {
        let made = std::thread::Builder::new().spawn(|| {});
        made.map(drop).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))
    }),
    ("clone_with_a_user_namespace", |_| fork(libc::CLONE_NEWUSER)),
    ("clone_with_a_pid_namespace", |_| fork(libc::CLONE_NEWPID)),
    ("clone_with_a_mount_namespace", |_| fork(libc::CLONE_NEWNS)),
    ("unshare_users", |_| unshare(libc::CLONE_NEWUSER)),
    ("unshare_mounts", |_| unshare(libc::CLONE_NEWNS)),
    ("unshare_pids", |_| unshare(libc::CLONE_NEWPID)),
    ("unshare_network", |_| unshare(libc::CLONE_NEWNET)),
    ("unshare_ipc", |_| unshare(libc::CLONE_NEWIPC)),
    ("unshare_names", |_| unshare(libc::CLONE_NEWUTS)),
    ("unshare_cgroups", |_| unshare(libc::CLONE_NEWCGROUP)),
    ("unshare_clocks", |_| unshare(0x80)),
    ("setns", |_| attempt(libc::SYS_setns, [0, 0])),
    ("execve", |_| {
        let mut arguments = [text(c"/bin/true"), 0];
        attempt(libc::SYS_execve, [text(c"/bin/true"), buffer(&mut arguments), 0])
    }),
    ("execveat", |_| execute(below_zero(libc::AT_FDCWD), text(c"/bin/true"), 0)),
    ("execute_its_file", |ground| execute(ground.file(), text(c""), libc::AT_EMPTY_PATH)),
    ("trace_a_stranger", |ground| attempt(libc::SYS_ptrace, [libc::PTRACE_SEIZE as usize, stranger(ground), 0, 0])),
    ("let_itself_be_traced", |_| attempt(libc::SYS_ptrace, [libc::PTRACE_TRACEME as usize, 0, 0, 0])),
    ("read_a_strangers_memory", |ground| vectors(libc::SYS_process_vm_readv, ground)),
    ("write_a_strangers_memory", |ground| vectors(libc::SYS_process_vm_writev, ground)),
    ("kill", |ground| attempt(libc::SYS_kill, [stranger(ground), CONT])),
    ("kill_everyone", |_| attempt(libc::SYS_kill, [below_zero(-1), 0])),
    ("kill_a_thread", |ground| attempt(libc::SYS_tgkill, [stranger(ground), stranger(ground), CONT])),
    ("kill_by_tid", |ground| attempt(libc::SYS_tkill, [stranger(ground), CONT])),
    ("queue_a_signal", |ground| {
        let mut info = [0u8; 128];
        attempt(libc::SYS_rt_sigqueueinfo, [stranger(ground), CONT, buffer(&mut info)])
    }),
    ("pidfd_of_a_stranger", |ground| attempt(libc::SYS_pidfd_open, [stranger(ground), 0])),
    ("signal_through_another_descriptor", |ground| send(ground.task.unwrap_or(0), CONT, 0)),
    ("another_signal_to_its_target", |ground| send(ground.pidfd.unwrap_or(0), libc::SIGURG as usize, 0)),
    ("signal_the_group_of_its_target", |ground| send(ground.pidfd.unwrap_or(0), CONT, 4)),
    ("take_a_descriptor", |ground| attempt(libc::SYS_pidfd_getfd, [ground.pidfd.unwrap_or(0) as usize, 0, 0])),
    ("compare_descriptors", |ground| {
        let own = std::process::id() as usize;
        attempt(libc::SYS_kcmp, [own, stranger(ground), 1, 0, 0])
    }),
    ("robust_list_of_a_stranger", |ground| {
        let mut found = [0usize; 2];
        let second = buffer(&mut found[1..]);
        attempt(libc::SYS_get_robust_list, [stranger(ground), buffer(&mut found), second])
    }),
    ("limits_of_a_stranger", |ground| {
        let mut limit = [1u64 << 20, 1 << 20];
        attempt(libc::SYS_prlimit64, [stranger(ground), libc::RLIMIT_CORE as usize, buffer(&mut limit), 0])
    }),
    ("nice_of_a_stranger", |ground| priority(libc::PRIO_PROCESS as usize, stranger(ground), 5)),
    ("raise_itself", |_| priority(libc::PRIO_PROCESS as usize, 0, -20)),
    ("nice_of_a_user", |_| priority(libc::PRIO_USER as usize, 65_534, 0)),
    ("io_priority_of_a_stranger", |ground| attempt(libc::SYS_ioprio_set, [1, stranger(ground), 3 << 13])),
    ("io_priority_of_a_user", |_| attempt(libc::SYS_ioprio_set, [3, 65_534, 0])),
    ("cpus_of_a_stranger", |ground| {
        let mut all = [u64::MAX; 16];
        attempt(libc::SYS_sched_setaffinity, [stranger(ground), size_of_val(&all), buffer(&mut all)])
    }),
    ("scheduler_of_a_stranger", |ground| {
        let mut priority = [0i32; 1];
        let other = libc::SCHED_OTHER as usize;
        attempt(libc::SYS_sched_setscheduler, [stranger(ground), other, buffer(&mut priority)])
    }),
    ("deadline_of_a_stranger", |ground| {
        let mut attributes = [48u32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        attempt(libc::SYS_sched_setattr, [stranger(ground), buffer(&mut attributes), 0])
    }),
    ("move_a_strangers_pages", |ground| attempt(libc::SYS_migrate_pages, [stranger(ground), 0, 0, 0])),
    ("reap_a_strangers_memory", |ground| attempt(libc::SYS_process_mrelease, [ground.pidfd.unwrap_or(0) as usize, 0])),
    ("leave_its_session", |_| attempt(libc::SYS_setsid, [])),
    ("join_a_group", |_| attempt(libc::SYS_setpgid, [0, 0])),
];

/// Harmless to whoever is not stopped.
const CONT: usize = libc::SIGCONT as usize;

fn stranger(ground: &Ground) -> usize {
    ground.stranger as usize
}

fn fork(flags: libc::c_int) -> Result<(), Errno> {
    leave_if_child(call(libc::SYS_clone, [(flags | libc::SIGCHLD) as usize, 0, 0, 0, 0])?)
}

/// A child that should not be ends at once.
fn leave_if_child(pid: usize) -> Result<(), Errno> {
    if pid == 0 { attempt(libc::SYS_exit_group, [0]) } else { Ok(()) }
}

fn unshare(flag: libc::c_int) -> Result<(), Errno> {
    attempt(libc::SYS_unshare, [flag as usize])
}

fn execute(directory: usize, path: usize, flags: libc::c_int) -> Result<(), Errno> {
    let mut arguments = [path, 0];
    attempt(libc::SYS_execveat, [directory, path, buffer(&mut arguments), 0, flags as usize])
}

/// One byte at address 0 of the stranger, which nobody has.
fn vectors(number: libc::c_long, ground: &Ground) -> Result<(), Errno> {
    let mut byte = [0u8; 1];
    let (mut ours, mut theirs) = ([buffer(&mut byte), 1], [0usize, 1]);
    attempt(number, [stranger(ground), buffer(&mut ours), 1, buffer(&mut theirs), 1, 0])
}

fn send(descriptor: i32, signal: usize, flags: usize) -> Result<(), Errno> {
    attempt(libc::SYS_pidfd_send_signal, [descriptor as usize, signal, 0, flags])
}

fn priority(which: usize, who: usize, nice: i32) -> Result<(), Errno> {
    attempt(libc::SYS_setpriority, [which, who, below_zero(nice)])
}
