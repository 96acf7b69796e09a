//! Files: opened, made, moved and removed, and what is done with the one that was passed.

use std::ffi::CStr;

use nix::{errno::Errno, libc};

use super::{Ground, Row, attempt, below_zero, buffer, call, text};

const HERE: usize = below_zero(libc::AT_FDCWD);
/// A path that nobody has.
const NEW: &CStr = c"/tmp/kernelsight-attack";
const PASSWD: &CStr = c"/etc/passwd";

pub(super) const ATTACKS: &[Row] = &[
    ("open_to_read", |_| open(PASSWD, libc::O_RDONLY)),
    ("open_to_write", |_| open(PASSWD, libc::O_WRONLY)),
    ("open_to_create", |_| open(NEW, libc::O_WRONLY | libc::O_CREAT)),
    ("open_to_truncate", |_| open(NEW, libc::O_RDONLY | libc::O_TRUNC)),
    ("open_without_a_name", |_| open(c"/tmp", libc::O_RDWR | libc::O_TMPFILE)),
    ("open_as_a_path", |_| open(c"/etc", libc::O_PATH)),
    ("open_the_root", |_| open(c"/", libc::O_DIRECTORY)),
    ("open_by_a_magic_link", |_| open(c"/proc/self/root/etc/passwd", libc::O_RDONLY)),
    ("open_its_executable", |_| open(c"/proc/self/exe", libc::O_RDONLY)),
    ("open_its_memory_to_read", |_| open(c"/proc/self/mem", libc::O_RDONLY)),
    ("open_its_memory_to_write", |_| open(c"/proc/self/mem", libc::O_RDWR)),
    ("open_a_strangers_memory", |ground| open_of(ground, "mem")),
    ("open_a_strangers_environment", |ground| open_of(ground, "environ")),
    ("open_a_strangers_root", |ground| open_of(ground, "root/etc/passwd")),
    ("open_a_strangers_descriptors", |ground| open_of(ground, "fd")),
    ("open_inits_memory_map", |_| open(c"/proc/1/maps", libc::O_RDONLY)),
    ("open_a_sysctl_to_write", |_| open(c"/proc/sys/vm/swappiness", libc::O_WRONLY)),
    ("open_sysrq", |_| open(c"/proc/sysrq-trigger", libc::O_WRONLY)),
    ("open_a_cgroup", |_| open(c"/sys/fs/cgroup", libc::O_RDONLY)),
    ("open_the_state_directory", |_| open(c"/var/lib", libc::O_RDONLY)),
    ("openat2", |_| {
        let mut how = [0u64; 3];
        attempt(libc::SYS_openat2, [HERE, text(PASSWD), buffer(&mut how), size_of_val(&how)])
    }),
    ("name_to_handle", |_| {
        let (mut handle, mut mount) = ([0u32; 34], [0u32; 1]);
        handle[0] = 128;
        attempt(libc::SYS_name_to_handle_at, [HERE, text(PASSWD), buffer(&mut handle), buffer(&mut mount), 0])
    }),
    ("open_by_handle", |_| {
        let mut handle = [8u32, 1, 2, 0];
        attempt(libc::SYS_open_by_handle_at, [HERE, buffer(&mut handle), 0])
    }),
    ("symlink", |_| attempt(libc::SYS_symlinkat, [text(PASSWD), HERE, text(NEW)])),
    ("link", |_| attempt(libc::SYS_linkat, [HERE, text(PASSWD), HERE, text(NEW), 0])),
    ("rename", |_| attempt(libc::SYS_renameat2, [HERE, text(NEW), HERE, text(NEW), 0])),
    ("unlink", |_| attempt(libc::SYS_unlinkat, [HERE, text(NEW), 0])),
    // One that the kernel would not let go either, should anything here be open.
    ("unlink_what_is_there", |_| attempt(libc::SYS_unlinkat, [HERE, text(c"/proc/version"), 0])),
    ("rmdir", |_| attempt(libc::SYS_unlinkat, [HERE, text(NEW), libc::AT_REMOVEDIR as usize])),
    ("mkdir", |_| attempt(libc::SYS_mkdirat, [HERE, text(NEW), 0o700])),
    ("mknod", |_| attempt(libc::SYS_mknodat, [HERE, text(NEW), (libc::S_IFCHR | 0o600) as usize, 0x0103])),
    ("chmod", |_| attempt(libc::SYS_fchmodat, [HERE, text(NEW), 0o777])),
    ("chmod_of_its_file", |ground| attempt(libc::SYS_fchmod, [ground.file(), 0o777])),
    ("chown", |_| attempt(libc::SYS_fchownat, [HERE, text(NEW), 0, 0, 0])),
    ("setxattr", |_| attempt(libc::SYS_setxattr, [text(NEW), text(c"user.x"), text(c"x"), 1, 0])),
    ("utimens", |_| attempt(libc::SYS_utimensat, [HERE, text(NEW), 0, 0])),
    ("truncate", |_| attempt(libc::SYS_truncate, [text(NEW), 0])),
    ("truncate_its_file", |ground| attempt(libc::SYS_ftruncate, [ground.file(), 4096])),
    ("fallocate", |ground| attempt(libc::SYS_fallocate, [ground.file(), 0, 0, 4096])),
    ("copy_into_its_file", |ground| attempt(libc::SYS_copy_file_range, [0, 0, ground.file(), 0, 1, 0])),
    ("splice", |ground| attempt(libc::SYS_splice, [0, 0, ground.file(), 0, 1, 0])),
    ("ioctl", |_| attempt(libc::SYS_ioctl, [0, libc::TIOCSTI as usize, text(c"x")])),
    ("lock_its_file", |ground| attempt(libc::SYS_flock, [ground.file(), libc::LOCK_SH as usize])),
    ("lease_on_its_file", |ground| control(ground.file(), libc::F_SETLEASE, libc::F_RDLCK as usize)),
    ("signal_as_an_owner", |ground| control(1, libc::F_SETOWN, ground.stranger as usize)),
    ("chdir", |_| attempt(libc::SYS_chdir, [text(c"/tmp")])),
    ("readlink", |_| {
        let mut target = [0u8; 64];
        attempt(libc::SYS_readlinkat, [HERE, text(c"/proc/self/exe"), buffer(&mut target), 64])
    }),
    ("find_a_descriptor", |ground| any_other(ground, |fd| control(fd, libc::F_GETFD, 0))),
    ("write_to_a_found_descriptor", |ground| any_other(ground, |fd| attempt(libc::SYS_write, [fd, text(c"x"), 1]))),
    ("write_a_large_file", |ground| attempt(libc::SYS_write, [ground.file(), text(c"x"), 1])),
    ("watch_files", |_| attempt(libc::SYS_inotify_init1, [0])),
    ("watch_all_files", |_| attempt(libc::SYS_fanotify_init, [0, 0])),
];

fn open(path: &CStr, flags: libc::c_int) -> Result<(), Errno> {
    attempt(libc::SYS_openat, [HERE, text(path), flags as usize, 0o600])
}

fn open_of(ground: &Ground, name: &str) -> Result<(), Errno> {
    let path = format!("/proc/{}/{name}\0", ground.stranger);
    call(libc::SYS_openat, [HERE, path.as_ptr() as usize, libc::O_RDONLY as usize]).map(drop)
}

fn control(fd: usize, command: libc::c_int, argument: usize) -> Result<(), Errno> {
    attempt(libc::SYS_fcntl, [fd, command as usize, argument])
}

/// Tries every number that no descriptor was passed under; how the last one failed, if each did.
fn any_other(ground: &Ground, attack: impl Fn(usize) -> Result<(), Errno>) -> Result<(), Errno> {
    let mut failed = Errno::EBADF;
    for fd in (0..1024).filter(|fd| ground.is_strange(*fd)) {
        match attack(fd as usize) {
            Ok(()) => return Ok(()),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
