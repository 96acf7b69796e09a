//! A disk that takes no more: whatever the journal cannot hold is not done.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    daemon::Daemon,
    execute_support::{Target, is_root},
};

/// A filesystem of the test's own, gone when dropped.
pub(crate) struct Mounted {
    pub(crate) place: PathBuf,
    requests: Option<Requests>,
    _dir: tempfile::TempDir,
}

impl Mounted {
    /// In memory, of so many MiB.
    pub(crate) fn memory(mib: u64) -> Option<Self> {
        Self::new(Path::new("/var/tmp"), |_, place| {
            run("mount", &["-t", "tmpfs", "-o", &format!("size={mib}m"), "none", place])
        })
    }

    /// An ext4 on a loop device, its image below `dir`; what is wrong with it makes it read-only.
    pub(crate) fn disk(dir: &Path, mib: u64) -> Option<Self> {
        Self::ext4(dir, mib, &["-e", "remount-ro"])
    }

    /// The same without a journal of its own, and written on after an error.
    pub(crate) fn forgiving_disk(dir: &Path, mib: u64) -> Option<Self> {
        Self::ext4(dir, mib, &["-e", "continue", "-O", "^has_journal"])
    }

    fn ext4(dir: &Path, mib: u64, how: &[&str]) -> Option<Self> {
        let mut disk = Self::new(dir, |image, place| {
            let made = File::create(image).and_then(|file| file.set_len(mib << 20));
            made.map_err(|error| error.to_string())?;
            run("mkfs.ext4", &[&["-q"], how, &[image]].concat())?;
            run("mount", &["-o", "loop", image, place])
        })?;
        disk.requests = Some(Requests::of_a_page(&disk.device()));
        Some(disk)
    }

    /// `loop0`
    fn device(&self) -> String {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let place = self.place.to_str();
        let mount = mounts.lines().find(|line| line.split(' ').nth(1) == place).unwrap();
        mount.split(' ').next().unwrap().trim_start_matches("/dev/").to_owned()
    }

    /// None, said aloud, where nothing can be mounted.
    fn new(below: &Path, mount: impl FnOnce(&str, &str) -> Result<(), String>) -> Option<Self> {
        let dir = tempfile::tempdir_in(below).unwrap();
        let (image, place) = (dir.path().join("image"), dir.path().join("mounted"));
        fs::create_dir(&place).unwrap();
        match mount(&image.display().to_string(), &place.display().to_string()) {
            Ok(()) => Some(Self { place, requests: None, _dir: dir }),
            Err(why) => {
                assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{why}");
                eprintln!("skipped: no filesystem of its own could be mounted: {why}");
                None
            }
        }
    }

    pub(crate) fn fill(&self) {
        fill(&self.filling());
    }

    /// Takes that away again.
    pub(crate) fn empty(&self) {
        fs::remove_file(self.filling()).unwrap();
    }

    fn filling(&self) -> PathBuf {
        self.place.join("filling")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let place = self.place.display().to_string();
        // It may be thawed already.
        let _ = run("fsfreeze", &["-u", &place]);
        // A daemon that was just killed may still be leaving it.
        let umounted = (0..50).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            run("umount", &[&place]).is_ok()
        });
        self.requests.take();
        assert!(umounted || std::thread::panicking(), "{place} is still in use");
    }
}

/// A loop device says of a write for half of which there was room that it was written (Linux 6.18): no disk does that, and
/// no database comes through it. A write of a page is written or not.
struct Requests {
    file: PathBuf,
    before: String,
}

impl Requests {
    fn of_a_page(device: &str) -> Self {
        let file = Path::new("/sys/block").join(device).join("queue/max_sectors_kb");
        let before = fs::read_to_string(&file).unwrap();
        fs::write(&file, "4").unwrap();
        Self { file, before }
    }
}

impl Drop for Requests {
    /// The device is another's next.
    fn drop(&mut self) {
        fs::write(&self.file, &self.before).unwrap();
    }
}

/// Writes a file until its filesystem takes nothing more.
pub(crate) fn fill(file: &Path) {
    let mut file = File::create(file).unwrap();
    for block in [1 << 20, 4096, 1] {
        while file.write_all(&vec![1; block]).is_ok() {}
    }
}

/// A program to its end; what it complains of.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Orders one action after the other until the journal takes none any more. Each that was done is in the journal, and
/// the one that was refused was not done.
fn orders_until_refused(daemon: &Daemon) -> String {
    let begun = Instant::now();
    loop {
        // The whole node cools down between two.
        std::thread::sleep(Duration::from_millis(2100));
        let target = Target::idle();
        match daemon.order("pause_process", json!({ "pid": target.pid() })) {
            Ok(outcome) => {
                target.comes_to_stand();
                assert!(outcome.action_id.is_some(), "what was done is in the journal");
            }
            Err(refused) => {
                target.comes_to_run();
                assert!(refused.contains("nothing was done, because its undo could not be written"), "{refused}");
                return refused;
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "the journal takes everything");
    }
}

/// By the write that failed, or by what follows from it.
fn tells_of_the_disk(refused: &str) -> bool {
    refused.ends_with("disk I/O error")
        || refused.contains("after an error of the disk (disk I/O error), and is not yet: ")
}

#[test]
fn on_a_full_disk_nothing_is_done_and_with_room_again_it_is() {
    if !is_root() {
        return;
    }
    let Some(disk) = Mounted::memory(8) else { return };
    let daemon = Daemon::start(&disk.place.join("state"), "agent");
    disk.fill();
    let refused = orders_until_refused(&daemon);
    assert!(refused.ends_with("database or disk is full"), "{refused}");
    disk.empty();
    std::thread::sleep(Duration::from_millis(2100));
    let target = Target::idle();
    let outcome = daemon.order("pause_process", json!({ "pid": target.pid() }));
    assert!(outcome.is_ok(), "{outcome:?}");
    target.comes_to_stand();
    daemon.stop();
}

#[test]
fn on_a_disk_that_became_read_only_nothing_is_done() {
    if !is_root() {
        return;
    }
    let Some(disk) = Mounted::disk(Path::new("/var/tmp"), 16) else { return };
    let daemon = Daemon::start(&disk.place.join("state"), "agent");
    // As the kernel does by itself when it finds the filesystem damaged.
    let device = disk.device();
    fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "a test").unwrap();
    let refused = orders_until_refused(&daemon);
    assert!(tells_of_the_disk(&refused), "{refused}");
    daemon.kill();
}

#[test]
fn on_a_disk_with_errors_nothing_is_done() {
    if !is_root() {
        return;
    }
    // The image lies where there is no room for it: what is written to a new place of the disk is an I/O error.
    let Some(below) = Mounted::memory(12) else { return };
    let Some(disk) = Mounted::disk(&below.place, 64) else { return };
    let daemon = Daemon::start(&disk.place.join("state"), "agent");
    run("sync", &[]).unwrap();
    below.fill();
    let refused = orders_until_refused(&daemon);
    assert!(tells_of_the_disk(&refused), "{refused}");
    daemon.kill();
}

#[test]
fn a_state_directory_that_cannot_be_written_ends_the_start_and_says_so() {
    if !is_root() {
        return;
    }
    let Some(disk) = Mounted::memory(1) else { return };
    run("mount", &["-o", "remount,ro", &disk.place.display().to_string()]).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_kernelsight"))
        .args(["--socket", "/nonexistent/k.sock", "run", "--quiet", "--state-dir"])
        .arg(disk.place.join("state"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&disk.place.display().to_string()) && said.contains("Read-only file system"), "{said}");
}
