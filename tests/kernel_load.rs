//! Loading: each program stands alone, and what is missing is named.

use std::fs;

use expect_test::{Expect, expect};
use kernelsight::observe::{
    kernel::{Kernel, ProbeState, Settings, State},
    offsets::Types,
};

use crate::kernel_child::{Load, kernel};

/// The probes that are not on, and why.
fn failing(kernel: &Kernel) -> Vec<ProbeState> {
    kernel.probes().into_iter().filter(|probe| probe.state != State::On).collect()
}

/// Loads with types that lack `path`; the machine's own types lack nothing.
fn check(path: &str, expected: Expect) -> Option<Kernel> {
    kernel(&Settings::default())?;
    let kernel = Kernel::load_with(&Settings::default(), Types::running().unwrap().without(path));
    let shown: String = failing(&kernel).iter().map(|probe| format!("{}: {:?}\n", probe.name, probe.state)).collect();
    expected.assert_eq(&shown);
    Some(kernel)
}

#[test]
fn every_probe_is_on() {
    let Some(mut kernel) = kernel(&Settings::default()) else { return };
    let failing = failing(&kernel);
    assert!(failing.is_empty(), "{failing:#?}");
    let sample = kernel.sample().unwrap();
    assert!(sample.syscalls.is_some() && sample.run_queue.is_some() && sample.page_faults.is_some());
    assert!(sample.memory.is_some() && sample.block.is_some() && sample.lifecycle.is_some());
}

#[test]
fn a_missing_field_turns_off_only_what_needs_it() {
    let Some(mut kernel) = check(
        "task_struct.sched_info.last_queued",
        expect![[r#"
        sched_switch: Off { reason: "the running kernel has no field task_struct.sched_info.last_queued" }
    "#]],
    ) else {
        return;
    };
    let sample = kernel.sample().unwrap();
    assert!(sample.run_queue.is_none() && sample.lifecycle.is_some());
    check(
        "pt_regs.orig_ax",
        expect![[r#"
        sys_enter: Off { reason: "the running kernel has no field pt_regs.orig_ax or pt_regs.syscallno" }
        sys_exit: Off { reason: "the running kernel has no field pt_regs.orig_ax or pt_regs.syscallno" }
    "#]],
    );
    check(
        "folio.flags",
        expect![[r#"
        page_cache_add: Degraded { reason: "insertions are counted, not pages: the running kernel has no field folio.flags" }
        page_cache_delete: Degraded { reason: "insertions are counted, not pages: the running kernel has no field folio.flags" }
    "#]],
    );
    check(
        "gendisk.major",
        expect![[r#"
        block_rq_issue: Off { reason: "the running kernel has no field gendisk.major" }
        block_rq_requeue: Off { reason: "the running kernel has no field gendisk.major" }
        block_rq_complete: Off { reason: "the running kernel has no field gendisk.major" }
    "#]],
    );
}

#[test]
fn a_missing_tracepoint_turns_off_only_what_hangs_there() {
    let Some(mut kernel) = check(
        "btf_trace_page_fault_user",
        expect![[r#"
        page_fault_user: Off { reason: "the running kernel has no tracepoint page_fault_user" }
    "#]],
    ) else {
        return;
    };
    assert!(kernel.sample().unwrap().page_faults.is_none());
    let Some(mut kernel) = check(
        "bpf_iter_task",
        expect![[r#"
        tasks: Off { reason: "the running kernel has no iterator over tasks" }
    "#]],
    ) else {
        return;
    };
    expect!["the task iterator is off: the running kernel has no iterator over tasks"]
        .assert_eq(&kernel.tasks().unwrap_err().to_string());
}

#[test]
fn without_capabilities_every_probe_is_off_and_names_them() {
    if kernel(&Settings::default()).is_some() {
        Load::run("without_capabilities");
    }
}

#[test]
fn what_could_not_be_attached_for_want_of_descriptors_is_off_until_it_can() {
    if kernel(&Settings::default()).is_some() {
        Load::run("without_descriptors");
    }
}

#[test]
fn runs_are_counted_when_asked_for() {
    let Some(mut kernel) = kernel(&Settings { count_runs: true, ..Settings::default() }) else { return };
    Load::run("getsid 1000");
    let runs = |kernel: &Kernel| kernel.probes().into_iter().find(|probe| probe.name == "sys_exit").unwrap();
    let counted = runs(&kernel);
    assert!(counted.run_count >= 1000 && counted.run_time_ns > counted.run_count, "{counted:?}");
    // Others on this machine may have the kernel count, so that it stopped is seen by the descriptor that asks for it.
    let asks = || fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    let asking = || asks().filter(|link| link.as_os_str() == "anon_inode:bpf-stats").count();
    assert_eq!(asking(), 1);
    kernel.count_runs(false).unwrap();
    assert_eq!(asking(), 0);
}

#[test]
fn types_are_found_by_their_path() {
    let Ok(types) = Types::running() else { return };
    let missing = |path: &str| types.offset(path).unwrap_err().to_string();
    expect!["the running kernel has no field task_struct.no_such_field"]
        .assert_eq(&missing("task_struct.no_such_field"));
    expect!["the running kernel has no field no_such_struct.field or other_struct.field"]
        .assert_eq(&missing("no_such_struct.field|other_struct.field"));
    expect!["the running kernel has no field signal_struct.rlim[16].rlim_cur"]
        .assert_eq(&missing("signal_struct.rlim[16].rlim_cur"));
    // Threads of a task follow each other in memory as the header declares them.
    assert_eq!(types.offset("task_struct.pid").unwrap() + 4, types.offset("task_struct.tgid").unwrap());
    let rlim = |n: u32| types.offset(&format!("signal_struct.rlim[{n}].rlim_cur")).unwrap();
    assert_eq!(rlim(7) - rlim(0), 7 * 16);
    assert!(types.tracepoint("no_such_tracepoint").is_none());
    expect![[r#"
        Some(
            [
                "task_struct*",
                "task_struct*",
            ],
        )
    "#]]
    .assert_debug_eq(&types.tracepoint("sched_process_fork"));
}

#[test]
fn what_are_no_types_is_refused() {
    let refusal = |bytes: &[u8]| Types::parse(bytes.to_vec()).unwrap_err().to_string();
    expect!["the kernel's type information ends or errs at byte 0 of 0"].assert_eq(&refusal(b""));
    expect!["the kernel's type information ends or errs at byte 0 of 12"].assert_eq(&refusal(b"ELF, not BTF"));
    let Ok(mut bytes) = std::fs::read("/sys/kernel/btf/vmlinux") else { return };
    bytes.truncate(bytes.len() / 3);
    assert!(Types::parse(bytes).is_err());
}
