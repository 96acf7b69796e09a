//! Memory and what is bounded: code of its own, and more of everything than it was given.

use nix::{errno::Errno, libc};

use super::{Ground, Row, attempt, below_zero, buffer, call, text};

const PAGE: usize = 4096;
const READ_WRITE: libc::c_int = libc::PROT_READ | libc::PROT_WRITE;
const ANONYMOUS: libc::c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
/// More than the address space that an executor may have, by steps of 64 MiB.
const HOG: (usize, usize) = (64 << 20, 32);

pub(super) const ATTACKS: &[Row] = &[
    ("map_code", |_| map(PAGE, READ_WRITE | libc::PROT_EXEC, ANONYMOUS, -1).map(drop)),
    ("map_its_file_as_code", |ground| {
        let file = ground.files.first().copied().unwrap_or(-1);
        map(PAGE, libc::PROT_READ | libc::PROT_EXEC, libc::MAP_SHARED, file).map(drop)
    }),
    ("make_code", |_| {
        let page = map(PAGE, READ_WRITE, ANONYMOUS, -1)?;
        attempt(libc::SYS_mprotect, [page, PAGE, (libc::PROT_READ | libc::PROT_EXEC) as usize])
    }),
    ("make_code_by_key", |_| {
        let page = map(PAGE, READ_WRITE, ANONYMOUS, -1)?;
        attempt(libc::SYS_pkey_mprotect, [page, PAGE, libc::PROT_EXEC as usize, below_zero(-1)])
    }),
    ("memfd", |_| attempt(libc::SYS_memfd_create, [text(c"x"), 0])),
    ("memfd_and_execute", |_| {
        let memfd = call(libc::SYS_memfd_create, [text(c"x"), 0])?;
        attempt(libc::SYS_execveat, [memfd, text(c""), 0, 0, libc::AT_EMPTY_PATH as usize])
    }),
    ("secret_memory", |_| attempt(libc::SYS_memfd_secret, [0])),
    ("userfaultfd", |_| attempt(libc::SYS_userfaultfd, [0])),
    ("lock_memory", |_| attempt(libc::SYS_mlockall, [libc::MCL_FUTURE as usize])),
    ("advise_a_stranger", |ground| {
        let mut range = [0usize, PAGE];
        let pidfd = ground.pidfd.unwrap_or(0) as usize;
        attempt(libc::SYS_process_madvise, [pidfd, buffer(&mut range), 1, libc::MADV_COLD as usize, 0])
    }),
    ("shared_memory", |_| attempt(libc::SYS_shmget, [0, PAGE, 0o600])),
    ("message_queue", |_| attempt(libc::SYS_msgget, [0, 0o600])),
    ("semaphores", |_| attempt(libc::SYS_semget, [0, 1, 0o600])),
    ("posix_message_queue", |_| attempt(libc::SYS_mq_open, [text(c"kernelsight-attack"), 0, 0, 0])),
    ("memory_hog", |_| {
        let (step, steps) = HOG;
        (0..steps).try_for_each(|_| map(step, READ_WRITE, ANONYMOUS, -1).map(drop))
    }),
    ("descriptor_hog", |_| (0..1024).try_for_each(|_| attempt(libc::SYS_fcntl, [1, COPY, 0]))),
    ("cpu_hog", |_| {
        loop {
            std::hint::spin_loop();
        }
    }),
    ("core_dump", fall),
];

const COPY: usize = libc::F_DUPFD_CLOEXEC as usize;

fn map(length: usize, protection: libc::c_int, flags: libc::c_int, file: i32) -> Result<usize, Errno> {
    call(libc::SYS_mmap, [0, length, protection as usize, flags as usize, below_zero(file), 0])
}

/// Reads what it may not: the kernel ends it, as it would whoever goes astray in it.
fn fall(_: &Ground) -> Result<(), Errno> {
    let page = map(PAGE, libc::PROT_NONE, ANONYMOUS, -1)?;
    let address = page as *const u8;
    // SAFETY: the page is ours and mapped so that every access ends this process, which is what is asked for.
    let _ = unsafe { address.read_volatile() };
    Ok(())
}
