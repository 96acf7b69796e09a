//! What every process of the agent that lives longer than an executor keeps itself from: calls that none of them makes,
//! and files that it does not write.

use std::{collections::BTreeMap, fs::OpenOptions, io, path::Path};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
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

use super::{Confinement, Status};

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

/// Opened to write by anybody, and needed by nobody here.
const TRIED: [&str; 2] = ["/proc/self/comm", "/dev/zero"];

/// The files that it writes; it reads all that its user may.
#[derive(Debug)]
pub(crate) struct Files<'a> {
    /// Directories, and what is done below each.
    pub(crate) written: &'a [(&'a Path, BitFlags<AccessFs>)],
    /// Whether it sends signals to others.
    pub(crate) may_signal: bool,
}

/// Lays it down for this thread and all that come of it, and looks whether it holds: no core, no new privileges, a
/// filter of calls, and where `files` says which, Landlock.
pub(crate) fn restrain(files: Option<&Files<'_>>) -> Result<(), String> {
    let failed = |what: &'static str| move |error: nix::Error| format!("{what}: {}", io::Error::from(error));
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(failed("no core"))?;
    prctl::set_no_new_privs().map_err(failed("no new privileges"))?;
    let filters = Status::of_this_thread()?.filters()?;
    if let Some(files) = files {
        deny_files(files)?;
    }
    let filter = filter().map_err(|error| format!("the filter of system calls could not be built: {error}"))?;
    seccompiler::apply_filter(&filter).map_err(|error| format!("the filter of system calls: {error}"))?;
    Status::of_this_thread()?.expect_filter(filters)
}

/// A ruleset that denies all that this ABI knows: files, TCP, and what `scopes` names. Nothing is asked for that the ABI
/// has not, and all that is asked for is needed.
pub(super) fn ruleset(abi: ABI, scopes: BitFlags<Scope>) -> Result<RulesetCreated, RulesetError> {
    let mut rules =
        Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(AccessFs::from_all(abi))?;
    let net = AccessNet::from_all(abi);
    if !net.is_empty() {
        rules = rules.handle_access(net)?;
    }
    if !scopes.is_empty() {
        rules = rules.scope(scopes)?;
    }
    rules.create()
}

/// What this ABI knows of signals and abstract sockets to others.
pub(super) fn scopes(abi: ABI, may_signal: bool) -> BitFlags<Scope> {
    let all = Scope::from_all(abi);
    if may_signal { all & !BitFlags::from(Scope::Signal) } else { all }
}

fn deny_files(files: &Files<'_>) -> Result<(), String> {
    let abi = Confinement::of_this_kernel().enforced().map_err(|error| error.to_string())?;
    let abi = ABI::from(i32::try_from(abi).unwrap_or(0));
    let lay = || {
        let read = PathBeneath::new(PathFd::new("/")?, AccessFs::from_read(abi));
        let mut rules = ruleset(abi, scopes(abi, files.may_signal))?.add_rule(read)?;
        for (directory, access) in files.written {
            rules = rules.add_rule(PathBeneath::new(PathFd::new(directory)?, AccessFs::from_all(abi) & *access))?;
        }
        // An executor that looks has it as its standard input.
        rules = rules.add_rule(PathBeneath::new(PathFd::new("/dev/null")?, AccessFs::WriteFile))?;
        rules.restrict_self().map_err(Box::<dyn std::error::Error>::from)
    };
    let status = lay().map_err(|error: Box<dyn std::error::Error>| format!("Landlock: {error}"))?;
    if status.ruleset != RulesetStatus::FullyEnforced || !status.no_new_privs {
        return Err(format!("Landlock is not fully enforced: {status:?}"));
    }
    let is_written = |path: &&str| files.written.iter().any(|(directory, _)| Path::new(path).starts_with(directory));
    let Some(tried) = TRIED.iter().find(|path| !is_written(path)) else { return Ok(()) };
    match OpenOptions::new().write(true).open(tried) {
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
