//! What the daemon keeps itself from, laid down before it has a second thread, and looked at afterwards.
//!
//! A daemon that acts by itself needs every power that its executors are given, so of files and capabilities it keeps
//! them. One for whom actors act keeps what loading the programs takes: it writes below its own directories, and
//! nowhere else. Both do without the calls by which a stranger in their place would reach further.

use std::{
    collections::BTreeMap,
    fs::{DirBuilder, OpenOptions},
    io,
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use capctl::{Cap, CapSet, CapState};
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};
use nix::{
    libc,
    sys::{
        prctl,
        resource::{Resource, setrlimit},
    },
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use crate::{
    config::Settings,
    execute::sandbox::{Confinement, Status},
};

/// What it takes to load the programs, attach them and read their maps.
const KEPT: [Cap; 2] = [Cap::BPF, Cap::PERFMON];
/// Calls that nothing here makes; each would be a way out, or a way to harm.
const NEVER: [i64; 41] = [
    // into others
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_open_by_handle_at,
    // around filters, or through much that is new
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
    libc::SYS_memfd_create,
    libc::SYS_personality,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_fanotify_init,
    // mounts
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_mount_setattr,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    // the machine
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_acct,
];

/// Lays it down for this thread and all that come of it. The reason why not all of it holds is a reason to do nothing
/// but watch.
pub fn confine(settings: &Settings) -> Result<(), String> {
    let failed = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(|error| failed("no core")(error.into()))?;
    prctl::set_no_new_privs().map_err(|error| failed("no new privileges")(error.into()))?;
    let filters = Status::of_this_thread()?.filters()?;
    if settings.actors.is_some() {
        keep_capabilities().map_err(|error| failed("capabilities")(error.into()))?;
        let directories = [settings.state_dir.as_path(), settings.socket.parent().unwrap_or(Path::new("/"))];
        deny_files(directories)?;
    }
    let filter = filter().map_err(|error| format!("the filter of system calls could not be built: {error}"))?;
    seccompiler::apply_filter(&filter).map_err(|error| format!("the filter of system calls: {error}"))?;
    attest(settings.actors.is_some(), filters)
}

fn keep_capabilities() -> capctl::Result<()> {
    let mut now = CapState::get_current()?;
    // Where it may be emptied; the unit bounds it else.
    if now.effective.has(Cap::SETPCAP) {
        capctl::bounding::clear()?;
    }
    let kept: CapSet = KEPT.into_iter().collect();
    now.effective &= kept;
    now.permitted &= kept;
    now.inheritable &= kept;
    now.set_current()
}

/// Files are read everywhere and written below these directories; nobody outside is signalled, and no TCP spoken.
fn deny_files(directories: [&Path; 2]) -> Result<(), String> {
    let abi = Confinement::of_this_kernel().enforced().map_err(|error| error.to_string())?;
    let abi = ABI::from(i32::try_from(abi).unwrap_or(0));
    for directory in directories {
        // What is there already needs nothing; what cannot be made is said below.
        let _ = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    }
    let lay = || {
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(abi))?;
        if !AccessNet::from_all(abi).is_empty() {
            rules = rules.handle_access(AccessNet::from_all(abi))?;
        }
        if !Scope::from_all(abi).is_empty() {
            rules = rules.scope(Scope::from_all(abi))?;
        }
        let mut rules = rules.create()?.add_rule(PathBeneath::new(PathFd::new("/")?, AccessFs::from_read(abi)))?;
        for directory in directories {
            rules = rules.add_rule(PathBeneath::new(PathFd::new(directory)?, AccessFs::from_all(abi)))?;
        }
        // An executor that looks has it as its standard input.
        rules = rules.add_rule(PathBeneath::new(PathFd::new("/dev/null")?, AccessFs::WriteFile))?;
        rules.restrict_self().map_err(Box::<dyn std::error::Error>::from)
    };
    let status = lay().map_err(|error: Box<dyn std::error::Error>| format!("Landlock: {error}"))?;
    if status.ruleset != RulesetStatus::FullyEnforced || !status.no_new_privs {
        return Err(format!("Landlock is not fully enforced: {status:?}"));
    }
    // Its own name, which it may always change else.
    match OpenOptions::new().write(true).open("/proc/self/comm") {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(format!("Landlock cannot be tried: {error}")),
        Ok(_) => Err("Landlock says that it is enforced, and a file could be opened to write".to_owned()),
    }
}

/// Answered with an error: what asks for them by mistake goes on.
fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = NEVER.iter().map(|number| (*number, Vec::new())).collect();
    let families = [libc::AF_UNIX, libc::AF_NETLINK];
    let no_such = families.map(|family| SeccompCondition::new(0, Dword, SeccompCmpOp::Ne, family as u64));
    let no_such: Result<Vec<SeccompCondition>, _> = no_such.into_iter().collect();
    rules.insert(libc::SYS_socket, vec![SeccompRule::new(no_such?)?]);
    let architecture = std::env::consts::ARCH.try_into()?;
    let denied = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    SeccompFilter::new(rules, SeccompAction::Allow, denied, architecture)?.try_into()
}

/// What the kernel shows of this process.
fn attest(by_actors: bool, filters_before: u64) -> Result<(), String> {
    let status = Status::of_this_thread()?;
    status.expect_filter(filters_before)?;
    if by_actors {
        let kept = KEPT.into_iter().fold(0, |bits, cap| bits | 1_u64 << (cap as u8));
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            let shown = status.line(set).unwrap_or_default();
            if !u64::from_str_radix(&shown, 16).is_ok_and(|shown| shown & !kept == 0) {
                return Err(format!("{set} is `{shown}`, more than {kept:016x}"));
            }
        }
    }
    Ok(())
}
