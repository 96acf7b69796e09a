//! An executor that somebody took over: whatever he tries from inside, by each role, fails as it should.

use std::{collections::BTreeMap, path::Path, sync::Mutex};

use expect_test::{Expect, expect};
use kernelsight::execute::{
    Power,
    actor::ProbingActor,
    sandbox::{Confined, Probe, attacks},
};

use crate::{
    actors::{as_its_unit_says, inherited},
    execute_support::{Target, executor, is_root, policy},
};

/// Fewer would be no test.
const FEWEST: usize = 60;

/// The roles of executors: a name, what the executor is given, and a command of it. `@` is a target's pid.
const ROLES: [Role; 23] = [
    ("nice", Power::SysNice, "renice -n 10 -p @"),
    ("io priority", Power::SysNice, "ionice -c 2 -n 7 -p @"),
    ("affinity", Power::SysNice, "taskset -a -c 0 -p @"),
    ("signal", Power::Kill, "kill -CONT @"),
    ("throttle", Power::Kill, "cpulimit -p @ -l 50"),
    ("cgroup", Power::CgroupFile, "cgset -r cpu.max=50000 /x"),
    ("sysctl", Power::SysctlFile, "sysctl -w vm.swappiness=10"),
    ("sync", Power::Nothing, "sync"),
    ("read /proc", Power::ReadProc, "top -o rss -n 10"),
    ("scheduler", Power::SysNice, "chrt -o 0 -p @"),
    ("open files", Power::TargetsUser, "prlimit --nofile=64:128 --pid @"),
    ("descriptors", Power::ReadDescriptors, "lsfd -p @"),
    ("read cgroup", Power::ReadCgroup, "cgget -a /x"),
    ("mounts", Power::ReadProc, "list_mounts"),
    ("end", Power::Kill, "kill --timeout 10000 KILL --signal TERM @"),
    ("truncate", Power::ListedFile, "truncate_file /x"),
    ("thaw", Power::Thaw, "fsfreeze -u /x"),
    ("reset", Power::ServiceManager, "reset_property MemoryHigh=infinity /x.service"),
    ("restart", Power::ServiceManager, "restart_unit x.service 00112233445566778899aabbccddeeff"),
    ("own cgroup", Power::OwnCgroup, "cgclassify -r cpu.max=50000 -g /kernelsight/p@-1 @"),
    ("back from it", Power::OwnCgroup, "cgdelete -g cpu:/kernelsight/p@-1 --to /x"),
    ("qdisc", Power::NetAdmin, "qdisc del dev x root handle 1: tbf"),
    ("link speed", Power::NetAdmin, "ethtool -s x speed 1000"),
];

/// A name, what the executor is given, and a command of it.
type Role = (&'static str, Power, &'static str);

/// How it ended, in a word: an error's name, SIGSYS where the filter ended it, another signal by its number.
fn ended(confined: &Confined) -> String {
    let said = confined.output.trim_end();
    match said.strip_prefix("the executor was ended by signal ") {
        _ if confined.succeeded => "POSSIBLE".to_owned(),
        _ if confined.timed_out => "it hung".to_owned(),
        Some(signal) => format!("signal {signal}"),
        None if said.ends_with("a system call that it may not make and was ended") => "SIGSYS".to_owned(),
        None => said.to_owned(),
    }
}

/// What the executor of a role, of this target, tries against a stranger.
fn attack(command: &str, name: &str, target: u32, stranger: u32) -> Probe {
    Probe::Attack { command: command.replace('@', &target.to_string()), name: name.to_owned(), stranger }
}

/// What each attack ends in, role by role: `SIGSYS; affinity POSSIBLE`. `tries` tells how all of them ended in one role.
fn outcomes(roles: &[Role], tries: impl Fn(Role, u32, u32) -> Vec<String> + Sync) -> Vec<(&'static str, String)> {
    let (target, stranger) = (Target::idle(), Target::idle());
    let left = Mutex::new(roles.iter());
    let seen: Mutex<BTreeMap<&str, Vec<String>>> = Mutex::default();
    let work = || {
        loop {
            let Some(role) = left.lock().unwrap().next() else { return };
            let ends = tries(*role, target.pid(), stranger.pid());
            seen.lock().unwrap().insert(role.0, ends);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(work);
        }
    });
    assert_eq!((target.state(), stranger.state()), ('S', 'S'), "nobody was touched");
    assert!(stranger.nice().iter().all(|nice| *nice == 0));
    let seen = seen.into_inner().unwrap();
    let ends = |number: usize| roles.iter().map(|(role, ..)| (*role, seen[role][number].as_str())).collect::<Vec<_>>();
    attacks().enumerate().map(|(number, name)| (name, told(&ends(number)))).collect()
}

/// The commonest end, and who else ended how.
fn told(ends: &[(&str, &str)]) -> String {
    let count = |end: &str| ends.iter().filter(|(_, other)| *other == end).count();
    let common = ends.iter().map(|(_, end)| *end).max_by_key(|end| count(end)).unwrap();
    let others = ends.iter().filter(|(_, end)| *end != common).map(|(role, end)| format!("; {role}: {end}"));
    std::iter::once(common.to_owned()).chain(others).collect()
}

/// Of attacks: those that ended otherwise than all others, as lines.
fn other_than(common: &str, outcomes: &[(&str, String)]) -> Vec<String> {
    outcomes.iter().filter(|(_, told)| told != common).map(|(name, told)| format!("{name}: {told}")).collect()
}

#[test]
fn every_attack_from_inside_fails_as_expected() {
    if !is_root() {
        return;
    }
    let names: Vec<&str> = attacks().collect();
    let distinct: std::collections::BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(distinct.len(), names.len(), "two attacks have one name");
    assert!(names.len() >= FEWEST, "{} attacks", names.len());
    let executor = executor(&policy());
    let outcomes = outcomes(&ROLES, |(_, power, command), target, stranger| {
        let probe = |name| executor.probe(power, attack(command, name, target, stranger)).unwrap();
        attacks().map(|name| ended(&probe(name))).collect()
    });
    // What somebody who took over an executor may do with its own power: look at what it is there to look at; and, with
    // the capability of scheduling, name another thread, for which mask or priority stands behind a pointer that no
    // filter sees.
    let possible: Vec<String> = outcomes
        .iter()
        .filter(|(_, told)| told.contains("POSSIBLE"))
        .map(|(name, told)| format!("{name}: {told}"))
        .collect();
    assert_eq!(
        possible,
        [
            "open_a_cgroup: SIGSYS; read /proc: EACCES; read cgroup: POSSIBLE; mounts: EACCES",
            "readlink: SIGSYS; descriptors: POSSIBLE",
            "cpus_of_a_stranger: SIGSYS; affinity: POSSIBLE",
            "scheduler_of_a_stranger: SIGSYS; scheduler: POSSIBLE",
        ]
    );
    let ended: Vec<&str> = outcomes.iter().filter(|(_, told)| told == "SIGSYS").map(|(name, _)| *name).collect();
    let otherwise = other_than("SIGSYS", &outcomes);
    check(
        &otherwise,
        expect![[r#"
            open_to_read: SIGSYS; read /proc: EACCES; read cgroup: EACCES; mounts: EACCES
            open_the_root: SIGSYS; read /proc: EACCES; read cgroup: EACCES; mounts: EACCES
            open_by_a_magic_link: SIGSYS; read /proc: EACCES; read cgroup: EACCES; mounts: EACCES
            open_its_executable: SIGSYS; read /proc: EACCES; read cgroup: EACCES; mounts: EACCES
            open_its_memory_to_read: SIGSYS; read /proc: EACCES; read cgroup: EACCES; mounts: EACCES
            open_a_strangers_memory: SIGSYS; read /proc: EACCES; read cgroup: EACCES; mounts: EACCES
            open_a_strangers_environment: SIGSYS; read /proc: EACCES; read cgroup: EACCES; mounts: EACCES
            open_a_strangers_root: SIGSYS; read /proc: EACCES; read cgroup: EACCES; mounts: EACCES
            open_a_strangers_descriptors: SIGSYS; read /proc: EACCES; read cgroup: EACCES; mounts: EACCES
            open_inits_memory_map: SIGSYS; read /proc: EACCES; read cgroup: EACCES; mounts: EACCES
            open_a_cgroup: SIGSYS; read /proc: EACCES; read cgroup: POSSIBLE; mounts: EACCES
            open_the_state_directory: SIGSYS; read /proc: EACCES; read cgroup: EACCES; mounts: EACCES
            unlink: SIGSYS; reset: ENOENT
            unlink_what_is_there: SIGSYS; reset: EACCES
            readlink: SIGSYS; descriptors: POSSIBLE
            find_a_descriptor: EBADF
            write_to_a_found_descriptor: EBADF
            write_a_large_file: signal 25
            cpus_of_a_stranger: SIGSYS; affinity: POSSIBLE
            scheduler_of_a_stranger: SIGSYS; scheduler: POSSIBLE
            memory_hog: ENOMEM
            descriptor_hog: EMFILE
            cpu_hog: signal 9
            core_dump: signal 11"#]],
    );
    check(
        &ended.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(),
        expect![[r#"
            open_to_write
            open_to_create
            open_to_truncate
            open_without_a_name
            open_as_a_path
            open_its_memory_to_write
            open_a_sysctl_to_write
            open_sysrq
            openat2
            name_to_handle
            open_by_handle
            symlink
            link
            rename
            rmdir
            mkdir
            mknod
            chmod
            chmod_of_its_file
            chown
            setxattr
            utimens
            truncate
            truncate_its_file
            fallocate
            copy_into_its_file
            splice
            ioctl
            lock_its_file
            lease_on_its_file
            signal_as_an_owner
            chdir
            watch_files
            watch_all_files
            fork
            fork_bomb
            fork_by_clone3
            thread
            clone_with_a_user_namespace
            clone_with_a_pid_namespace
            clone_with_a_mount_namespace
            unshare_users
            unshare_mounts
            unshare_pids
            unshare_network
            unshare_ipc
            unshare_names
            unshare_cgroups
            unshare_clocks
            setns
            execve
            execveat
            execute_its_file
            trace_a_stranger
            let_itself_be_traced
            read_a_strangers_memory
            write_a_strangers_memory
            kill
            kill_everyone
            kill_a_thread
            kill_by_tid
            queue_a_signal
            pidfd_of_a_stranger
            signal_through_another_descriptor
            another_signal_to_its_target
            signal_the_group_of_its_target
            take_a_descriptor
            compare_descriptors
            robust_list_of_a_stranger
            limits_of_a_stranger
            nice_of_a_stranger
            raise_itself
            nice_of_a_user
            io_priority_of_a_stranger
            io_priority_of_a_user
            deadline_of_a_stranger
            move_a_strangers_pages
            reap_a_strangers_memory
            leave_its_session
            join_a_group
            setuid
            setgid
            setreuid
            setresuid
            setresgid
            setfsuid
            setgroups
            capset
            become_dumpable
            regain_privileges
            keep_capabilities
            loosen_user_0
            outlive_the_daemon
            move_its_memory_map
            let_a_stranger_trace_it
            filter_by_prctl
            filter
            landlock
            personality
            raise_a_limit
            setrlimit
            map_code
            map_its_file_as_code
            make_code
            make_code_by_key
            memfd
            memfd_and_execute
            secret_memory
            userfaultfd
            lock_memory
            advise_a_stranger
            shared_memory
            message_queue
            semaphores
            posix_message_queue
            socket_ipv4
            socket_ipv6
            socket_unix
            socket_netlink
            socket_packet
            socket_vsock
            socket_alg
            socket_bluetooth
            socket_raw
            socketpair
            connect
            bind
            listen
            accept
            send
            send_descriptors
            receive
            socket_option
            mount
            umount
            pivot_root
            chroot
            open_tree
            move_mount
            fsopen
            mount_setattr
            bpf
            perf_event_open
            io_uring
            keyctl
            add_key
            request_key
            init_module
            finit_module
            delete_module
            kexec_load
            kexec_file_load
            reboot_without_its_word
            swapon
            swapoff
            kernel_log
            acct
            quotactl
            clock_settime
            settimeofday
            adjtimex
            clock_adjtime
            sethostname
            setdomainname
            timer
            eventfd
            epoll
            sync_one_disk
            no_such_call
            x86_iopl
            x86_ioperm
            x86_modify_ldt
            x86_arch_prctl
            x86_open
            x86_x32_write
            x86_x32_openat"#]],
    );
}

/// The power of an actor, a command of its, a target and a stranger: for the process that is started as one.
const AS_ACTOR: &str = "KERNELSIGHT_TEST_ACTOR";

#[test]
fn an_executor_that_an_actor_made_can_do_no_more() {
    if !is_root() {
        return;
    }
    let made_by_actors: Vec<Role> = ROLES.into_iter().filter(|(_, power, _)| !power.is_harmless()).collect();
    let (this, program) = (std::env::current_exe().unwrap(), Path::new(env!("CARGO_BIN_EXE_kernelsight")));
    let ((_this, this), (_program, program)) = (inherited(&this), inherited(program));
    let outcomes = outcomes(&made_by_actors, |(role, power, command), target, stranger| {
        let said = as_its_unit_says(power)
            .arg(&this)
            .args(["--ignored", "--exact", "--nocapture", "--test-threads=1", "execute_attacks::an_actor"])
            .env(AS_ACTOR, format!("{program}\n{}\n{command}\n{target}\n{stranger}", power.unit()))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&said.stdout);
        assert!(said.status.success(), "{role}: {text}{}", String::from_utf8_lossy(&said.stderr));
        text.lines().filter_map(|line| Some(line.split_once("ended: ")?.1.to_owned())).collect()
    });
    check(
        &other_than("SIGSYS", &outcomes),
        expect![[r#"
        unlink: SIGSYS; reset: ENOENT
        unlink_what_is_there: SIGSYS; reset: EACCES
        readlink: SIGSYS; descriptors: POSSIBLE
        find_a_descriptor: EBADF
        write_to_a_found_descriptor: EBADF
        write_a_large_file: signal 25
        cpus_of_a_stranger: SIGSYS; affinity: POSSIBLE
        scheduler_of_a_stranger: SIGSYS; scheduler: POSSIBLE
        memory_hog: ENOMEM
        descriptor_hog: EMFILE
        cpu_hog: signal 9
        core_dump: signal 11"#]],
    );
}

/// Not a test: an actor, whose executors try each attack.
#[test]
#[ignore = "started by the test of executors that an actor made"]
fn an_actor() {
    let told = std::env::var(AS_ACTOR).expect("started as an actor");
    let [program, power, command, target, stranger] = told.split('\n').collect::<Vec<_>>()[..] else {
        panic!("{told}")
    };
    let power = Power::ALL.into_iter().find(|one| one.unit() == power).unwrap();
    let actor = ProbingActor::new(power, Path::new(program)).unwrap();
    for name in attacks() {
        let probe = attack(command, name, target.parse().unwrap(), stranger.parse().unwrap());
        println!("\nended: {}", ended(&actor.probe(probe).unwrap()));
    }
}

/// Rows that only one architecture has are compared there.
fn check(lines: &[String], expected: Expect) {
    if cfg!(target_arch = "x86_64") {
        expected.assert_eq(&lines.join("\n"));
    } else {
        let of_all = |line: &&str| !line.starts_with("x86_");
        let expected: Vec<&str> = expected.data().lines().map(str::trim).filter(of_all).collect();
        assert_eq!(lines.join("\n"), expected.join("\n"));
    }
}
