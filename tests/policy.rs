//! The gate: what is asked, by whom, at which level, about whom.

use expect_test::{Expect, expect};
use kernelsight::{
    execute::{Approval, Judging, Policy, Risk, catalogue, command::Command},
    live::{Autonomy, Operator},
    observe::ProcessId,
};
use serde_json::{Value, json};

use crate::{
    execute_support::{Target, policy, request},
    store_rows::NOW_MS,
};

fn operator(name: &str) -> Operator {
    Operator { uid: 1000, pid: 7, name: name.to_owned() }
}

/// What the gate says, with the live pid written PID.
fn judge(policy: &Policy, name: &str, params: Value, judging: Judging<'_>) -> String {
    match policy.judge(&request(name, params), judging) {
        Ok(permit) => format!("permitted by {}: {}: {}", permit.rule(), permit.command(), permit.change()),
        Err(denied) => {
            let denial = denied.denial();
            format!("denied by {}: {}", denial.rule, denial.reason)
        }
    }
}

fn check(name: &str, params: Value, expected: Expect) {
    let policy = policy();
    expected.assert_eq(&judge(&policy, name, params, Judging::new("rules", Autonomy::Agent, NOW_MS)));
}

#[test]
fn an_argument_with_a_space_in_it_is_not_two() {
    let vector = ["cgset", "-r", "memory.high=1048576", "/x"];
    assert_eq!(Command::parse(&vector).unwrap().arguments(), vector);
    for vector in [["cgset", "-r", "memory.high=1048576 a", "/x"], ["cgset", "-r", "io.max=8:0 rbps=65536", "/x"]] {
        assert!(Command::parse(&vector).is_err(), "{vector:?}");
    }
}

#[test]
fn the_allowlist_is_as_long_as_promised_and_proves_itself() {
    let (allow, forbid) = policy().counts();
    assert!(allow >= 40 && forbid >= 15, "{allow} allow, {forbid} forbid");
}

#[test]
fn every_action_says_what_it_is_how_it_is_undone_or_why_not() {
    let told: Vec<String> = catalogue()
        .iter()
        .map(|action| {
            let lease = action.lease_s.map_or(String::new(), |lease_s| format!(", lease {lease_s} s"));
            let back = if action.irreversible_because.is_some() { ", not undone" } else { "" };
            let keys: Vec<String> = action.parameters["properties"]
                .as_object()
                .map(|properties| properties.iter().map(|(name, schema)| parameter(name, schema)).collect())
                .unwrap_or_default();
            assert_eq!(action.parameters["additionalProperties"], false, "{}", action.name);
            assert!(!action.has_effect || action.risk != Risk::None);
            let (name, risk, power) = (action.name, action.risk, action.power);
            format!("{name}({}) {risk:?} {power:?}, settles {} s{lease}{back}", keys.join(", "), action.settle_s)
        })
        .collect();
    expect![[r#"
        list_top_memory(count 1..50 = 10) None ReadProc, settles 0 s
        list_top_cpu(count 1..50 = 10) None ReadProc, settles 0 s
        list_top_io(count 1..50 = 10) None ReadCgroup, settles 0 s
        check_io_activity() None ReadProc, settles 0 s
        check_network_stats() None ReadProc, settles 0 s
        check_tcp_stats() None ReadProc, settles 0 s
        monitor_swap() None ReadProc, settles 0 s
        list_descriptors(pid 1..4194304) None ReadDescriptors, settles 0 s
        list_sockets() None ReadProc, settles 0 s
        list_mounts() None ReadProc, settles 0 s
        list_cgroup_limits(cgroup) None ReadCgroup, settles 0 s
        lower_process_priority(pid 1..4194304, priority 1..19 = 10) Low SysNice, settles 10 s
        lower_io_priority(pid 1..4194304, io_class 2..3 = 2, priority 0..7 = 7) Low SysNice, settles 10 s
        set_cpu_affinity(pid 1..4194304, cpus) Low SysNice, settles 10 s
        demote_realtime(pid 1..4194304) Medium SysNice, settles 10 s, lease 3600 s
        raise_nofile_limit(pid 1..4194304, files 64..1048576) Low TargetsUser, settles 10 s
        raise_oom_score_adj(pid 1..4194304, value 1..1000) Medium ProcessFile, settles 10 s, lease 3600 s
        lower_oom_score_adj(pid 1..4194304, value -900..999) Medium ProcessFile, settles 10 s, lease 3600 s
        reduce_swappiness(value 0..100 = 10) Low SysctlFile, settles 30 s
        increase_tcp_backlog(value 128..65536) Low SysctlFile, settles 30 s
        reduce_fin_timeout(value 10..120 = 30) Low SysctlFile, settles 30 s
        raise_min_free_kbytes(kbytes 1024..67108864) Medium SysctlFile, settles 20 s, lease 3600 s
        limit_dirty_bytes(bytes 16777216..68719476736) Medium SysctlFile, settles 20 s, lease 3600 s
        limit_dirty_background_bytes(bytes 4194304..68719476736) Low SysctlFile, settles 20 s, lease 3600 s
        widen_port_range(low 1024..65535, high 1024..65535) Low SysctlFile, settles 10 s
        reuse_time_wait(value 1..2 = 1) Low SysctlFile, settles 10 s
        increase_conntrack_max(value 65536..16777216) Low SysctlFile, settles 10 s
        increase_tcp_mem(bytes 16777216..1099511627776) Medium SysctlFile, settles 10 s, lease 3600 s
        increase_rmem_max(value 212992..67108864) Low SysctlFile, settles 10 s
        increase_wmem_max(value 212992..67108864) Low SysctlFile, settles 10 s
        flush_buffers() Low Nothing, settles 10 s, not undone
        compact_memory() Low SysctlFile, settles 10 s, not undone
        clear_page_cache(level 1..3 = 1) Medium SysctlFile, settles 30 s, not undone
        reclaim_cgroup(cgroup, bytes 1048576..1073741824) Low CgroupFile, settles 10 s, not undone
        resume_process(pid 1..4194304) Low Kill, settles 5 s
        thaw_cgroup(cgroup) Medium CgroupFile, settles 10 s
        thaw_filesystem(path) Medium Thaw, settles 10 s, not undone
        reset_qdisc(interface) High NetAdmin, settles 10 s, lease 3600 s
        set_link_speed(interface, mbit 10..800000) High NetAdmin, settles 20 s, lease 3600 s
        throttle_cpu(pid 1..4194304, limit 1..99) Medium Kill, settles 10 s, lease 1800 s
        confine_process(pid 1..4194304, cpu_percent 1..102400, memory_mb 16..1073741824) Medium OwnCgroup, settles 10 s, lease 3600 s
        limit_cgroup_cpu(cgroup, percent 1..102400) Medium CgroupFile, settles 10 s, lease 3600 s
        limit_cgroup_memory(cgroup, bytes 1048576..1125899906842624) Medium CgroupFile, settles 10 s, lease 3600 s
        limit_cgroup_pids(cgroup, tasks 1..4194304) Medium CgroupFile, settles 10 s, lease 3600 s
        limit_cgroup_io(cgroup, device, what, rate 10..1000000000000) Medium CgroupFile, settles 10 s, lease 600 s
        raise_cgroup_cpu(cgroup, percent 1..102400) Medium CgroupFile, settles 10 s, lease 3600 s
        raise_cgroup_memory(cgroup, bytes 1048576..1125899906842624) Medium CgroupFile, settles 10 s, lease 3600 s
        raise_cgroup_pids(cgroup, tasks 1..4194304) Medium CgroupFile, settles 10 s, lease 3600 s
        pause_process(pid 1..4194304) Medium Kill, settles 5 s, lease 300 s
        freeze_cgroup(cgroup) Medium CgroupFile, settles 5 s, lease 300 s
        truncate_file(path) High ListedFile, settles 10 s, not undone
        restart_unit(unit) High ServiceManager, settles 30 s, not undone
        terminate_process(pid 1..4194304) High Kill, settles 10 s, not undone
        kill_process(pid 1..4194304, wait_s 1..20 = 10) High Kill, settles 10 s, not undone"#]]
    .assert_eq(&told.join("\n"));
}

/// `priority 1..19 = 10`
fn parameter(name: &str, schema: &Value) -> String {
    let range = match (&schema["minimum"], &schema["maximum"]) {
        (Value::Null, Value::Null) => String::new(),
        (least, most) => format!(" {least}..{most}"),
    };
    let default = schema.get("default").map_or(String::new(), |value| format!(" = {value}"));
    format!("{name}{range}{default}")
}

#[test]
fn a_number_is_a_number_and_in_its_range() {
    let live = Target::idle();
    let policy = policy();
    for value in [json!(true), json!("10"), json!(10.0), json!(null), json!([10]), json!({}), json!(0), json!(20)] {
        let params = json!({ "pid": live.pid(), "priority": value });
        let said = judge(&policy, "lower_process_priority", params, Judging::new("rules", Autonomy::Agent, NOW_MS));
        assert!(said.starts_with("denied by schema.lower_process_priority: "), "{value}: {said}");
    }
    check(
        "lower_process_priority",
        json!({ "pid": live.pid(), "priority": 20 }),
        expect![
            "denied by schema.lower_process_priority: the parameters of lower_process_priority are not as its schema says: invalid value: integer `20`, expected an integer from 1 to 19"
        ],
    );
}

#[test]
fn an_unknown_key_is_not_ignored_and_its_text_is_escaped() {
    check(
        "flush_buffers",
        json!({ "so\nall\u{2028}of it": 1 }),
        expect![[
            r#"denied by schema.flush_buffers: the parameters of flush_buffers are not as its schema says: unknown field `so\x0aall\xe2\x80\xa8of it`, there are no fields"#
        ]],
    );
}

#[test]
fn a_missing_parameter_has_its_default_or_is_missed() {
    check(
        "throttle_cpu",
        json!({ "limit": 50 }),
        expect![
            "denied by schema.throttle_cpu: the parameters of throttle_cpu are not as its schema says: missing field `pid`"
        ],
    );
    check("list_top_memory", json!({}), expect!["permitted by top_memory: top -o rss -n 10: nothing"]);
}

#[test]
fn a_recycled_pid_is_refused() {
    let live = Target::idle();
    let policy = policy();
    let renice = |expected: &[ProcessId]| {
        let judging = Judging { expected: Some(expected), ..Judging::new("rules", Autonomy::Agent, NOW_MS) };
        judge(&policy, "lower_process_priority", json!({ "pid": live.pid(), "priority": 10 }), judging)
    };
    let itself = ProcessId { pid: live.pid(), start_ticks: live.start_ticks() };
    let before = ProcessId { start_ticks: itself.start_ticks - 1, ..itself };
    let other = ProcessId { pid: itself.pid + 1, ..itself };
    let said = renice(&[other, before]);
    assert!(said.starts_with(&format!("denied by target.identity: pid {} is not the process", itself.pid)), "{said}");
    let said = renice(&[other]);
    assert!(said.starts_with("denied by target.identity: the decision was not about the process"), "{said}");
    assert_eq!(renice(&[]), said, "who decides about nobody touches nobody");
    let said = renice(&[other, itself]);
    assert!(said.starts_with("permitted by renice: "), "{said}");
}

#[test]
fn a_process_that_ended_is_no_target() {
    let mut live = Target::idle();
    live.end();
    let said =
        judge(&policy(), "pause_process", json!({ "pid": live.pid() }), Judging::new("rules", Autonomy::Agent, NOW_MS));
    assert_eq!(said, format!("denied by target.process: there is no process {}", live.pid()));
}

#[test]
fn a_thread_is_no_process() {
    let live = Target::idle();
    let thread = live.tids()[1];
    let said =
        judge(&policy(), "pause_process", json!({ "pid": thread }), Judging::new("rules", Autonomy::Agent, NOW_MS));
    assert_eq!(
        said,
        format!("denied by target.process: {thread} is a thread of process {}, not a process", live.pid())
    );
}

#[test]
fn the_agent_and_whoever_runs_it_are_never_targets() {
    check(
        "terminate_process",
        json!({ "pid": 1 }),
        expect!["denied by protected.init: pid 1 is protected: it is init"],
    );
    check(
        "pause_process",
        json!({ "pid": 2 }),
        expect!["denied by protected.kernel_thread: kthreadd (pid 2) is protected: it is a kernel thread"],
    );
    let policy = policy();
    for (pid, rule) in [(std::process::id(), "agent"), (std::os::unix::process::parent_id(), "supervisor")] {
        let said =
            judge(&policy, "pause_process", json!({ "pid": pid }), Judging::new("rules", Autonomy::Agent, NOW_MS));
        // Whoever started the tests may be init itself.
        assert!(said.starts_with(&format!("denied by protected.{rule}: ")) || pid == 1, "{said}");
        let verdict = policy.check_command(&format!("kill -TERM {pid}"));
        assert!(!verdict.allowed && verdict.rule.starts_with("protected."), "{verdict:?}");
    }
}

#[test]
fn what_the_operator_lists_is_protected_by_name_and_by_user() {
    let live = Target::idle();
    let comm = std::fs::read_to_string(format!("/proc/{}/comm", live.pid())).unwrap();
    let uid = nix::unistd::Uid::effective();
    let lists = [
        (format!("comm = [\"{}\"]\ncgroup = []\nunit = []\nuid = []", comm.trim()), "comm"),
        (format!("comm = [\"{}*\"]\ncgroup = []\nunit = []\nuid = []", &comm[..2]), "comm"),
        (format!("comm = []\ncgroup = []\nunit = []\nuid = [{uid}]"), "uid"),
    ];
    for (list, rule) in lists {
        let policy = Policy::parse(COMMANDS, &list, AUTONOMY, "").unwrap();
        let params = json!({ "pid": live.pid() });
        let said = judge(&policy, "pause_process", params, Judging::new("rules", Autonomy::Agent, NOW_MS));
        assert!(said.starts_with(&format!("denied by protected.{rule}: ")), "{list}: {said}");
    }
}

#[test]
fn a_level_allows_what_it_lists_and_asks_for_the_rest() {
    let live = Target::idle();
    let policy = policy();
    let at = |level, name, params| judge(&policy, name, params, Judging::new("rules", level, NOW_MS));
    let pause = || json!({ "pid": live.pid() });
    let starts = |said: String, with: &str| assert!(said.starts_with(with), "{said}");
    starts(
        at(Autonomy::Advisor, "pause_process", pause()),
        "denied by autonomy.advisor: at level advisor nothing is done",
    );
    starts(
        at(Autonomy::Copilot, "pause_process", pause()),
        "denied by autonomy.copilot: an operator has to approve it",
    );
    starts(at(Autonomy::Guardian, "pause_process", pause()), "permitted by kill_stop");
    starts(
        at(Autonomy::Guardian, "terminate_process", pause()),
        "denied by autonomy.guardian: an operator has to approve it at level guardian: terminate_process is not among",
    );
    starts(at(Autonomy::Agent, "terminate_process", pause()), "permitted by kill_term");
    let throttle = |limit: u32| json!({ "pid": live.pid(), "limit": limit });
    starts(at(Autonomy::Guardian, "throttle_cpu", throttle(10)), "permitted by cpulimit");
    starts(
        at(Autonomy::Guardian, "throttle_cpu", throttle(9)),
        "denied by autonomy.guardian: an operator has to approve it at level guardian: limit is below 10",
    );
    starts(at(Autonomy::Guardian, "clear_page_cache", json!({})), "permitted by drop_caches");
    starts(at(Autonomy::Guardian, "clear_page_cache", json!({ "level": 3 })), "denied by autonomy.guardian: ");
    for level in [Autonomy::Advisor, Autonomy::Copilot, Autonomy::Guardian, Autonomy::Agent] {
        starts(at(level, "check_tcp_stats", json!({})), "permitted by check_tcp_stats");
    }
}

#[test]
fn an_approval_is_for_one_action_while_it_is_fresh_and_never_ones_own() {
    let live = Target::idle();
    let policy = policy();
    let params = json!({ "pid": live.pid() });
    let approved = |name: &str, at_ms: i64, author: &'static str| {
        let approval = Approval::of(&request(name, params.clone()), &operator("ada"), at_ms);
        let judging = Judging { approval: Some(approval), ..Judging::new(author, Autonomy::Copilot, NOW_MS) };
        judge(&policy, "terminate_process", params.clone(), judging)
    };
    assert!(approved("terminate_process", NOW_MS - 1000, "rules").starts_with("permitted by kill_term"));
    expect!["denied by approval: the approval is for another action: pause_process"].assert_eq(&approved(
        "pause_process",
        NOW_MS,
        "rules",
    ));
    expect!["denied by approval: the approval is 601 s old; it is good for 600 s"].assert_eq(&approved(
        "terminate_process",
        NOW_MS - 601_000,
        "rules",
    ));
    expect!["denied by approval: ada proposed it and cannot approve it"].assert_eq(&approved(
        "terminate_process",
        NOW_MS,
        "ada",
    ));
}

#[test]
fn no_approval_makes_a_protected_target_or_the_advisor_act() {
    let live = Target::idle();
    let policy = policy();
    let judging = |asked: &kernelsight::execute::ActionRequest, level| Judging {
        approval: Some(Approval::of(asked, &operator("ada"), NOW_MS)),
        ..Judging::new("rules", level, NOW_MS)
    };
    let init = request("terminate_process", json!({ "pid": 1 }));
    let denied = policy.judge(&init, judging(&init, Autonomy::Agent)).unwrap_err();
    assert_eq!(denied.denial().rule, "protected.init");
    let pause = request("pause_process", json!({ "pid": live.pid() }));
    let denied = policy.judge(&pause, judging(&pause, Autonomy::Advisor)).unwrap_err();
    assert_eq!(denied.denial().rule, "autonomy.advisor");
    assert!(!denied.needs_approval());
}

#[test]
fn rules_that_are_not_what_they_say_stop_the_start() {
    let rule = |pattern: &str, allows: &str, denies: &str| {
        let commands = format!(
            "max_line_bytes = 100\nforbid = []\n[[allow]]\nname = \"one\"\nway = \"forward\"\npattern = '{pattern}'\nallows = {allows}\ndenies = {denies}\n"
        );
        match Policy::parse(&commands, PROTECTED, AUTONOMY, "") {
            Ok(_) => "it starts".to_owned(),
            Err(error) => error.to_string().lines().next().unwrap().to_owned(),
        }
    };
    expect!["it starts"].assert_eq(&rule("sync", "['sync']", "['sync2']"));
    expect![[r#"
        pattern `one` of commands.toml does not deny `halt`, as it says
        pattern `one` of commands.toml does not compile: regex parse error:
        pattern `one` of commands.toml does not compile: it turns on a mode that would change what it seems to say
        pattern `one` of commands.toml does not compile: it turns on a mode that would change what it seems to say
        pattern `one` of commands.toml does not allow `halt`, as it says
        pattern `one` of commands.toml has no line in `allows`, so nothing proves it
        pattern `one` of commands.toml allows `halt`, but: `halt` is no command of the executor
        pattern `one` of commands.toml does not compile: regex parse error:
        pattern `one` of commands.toml does not compile: Compiled regex exceeds size limit of 262144 bytes.
        pattern `one` of commands.toml does not compile: it has a byte that is no printable ASCII, at 0"#]]
    .assert_eq(
        &[
            rule("sync|.*", "['sync']", "['halt']"),
            rule("sync)|(?:.*", "['sync']", "['halt']"),
            rule("(?x)sync # ", "['sync']", "['halt']"),
            rule("(?ix: s y n c )", "['sync']", "['halt']"),
            rule("sync", "['halt']", "['halt2']"),
            rule("sync", "[]", "['halt']"),
            rule("halt", "['halt']", "['sync']"),
            rule(r"\p{Greek}", "['sync']", "['halt']"),
            rule("(?:a{1000}){1000}", "['sync']", "['halt']"),
            rule("ſync", "['sync']", "['halt']"),
        ]
        .join("\n"),
    );
}

#[test]
fn levels_and_lists_that_name_nothing_real_stop_the_start() {
    let levels = |text: &str| Policy::parse(COMMANDS, PROTECTED, text, "").unwrap_err().to_string();
    let lists = |text: &str| Policy::parse(COMMANDS, text, AUTONOMY, "").unwrap_err().to_string();
    expect![[r#"
        `execute_command` of autonomy.toml is not an action of this agent
        `limit` of pause_process in autonomy.toml is no number of that action
        `*` of protected.toml is no name: a * may only be its last character, after others
        `a*b` of protected.toml is no name: a * may only be its last character, after others"#]]
    .assert_eq(
        &[
            levels("[guardian]\nexecute_command = {}"),
            levels("[guardian]\npause_process = { limit = { min = 1 } }"),
            lists("comm = ['*']\ncgroup = []\nunit = []\nuid = []"),
            lists("comm = ['a*b']\ncgroup = []\nunit = []\nuid = []"),
        ]
        .join("\n"),
    );
}

const COMMANDS: &str = include_str!("../policies/commands.toml");
const PROTECTED: &str = include_str!("../policies/protected.toml");
const AUTONOMY: &str = include_str!("../policies/autonomy.toml");
