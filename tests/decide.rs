//! What the rules propose, and above all what they leave alone.

use kernelsight::{
    decide::{Attempt, Case, Decision, FailureMode, Proposal, Reasoner, Rules, rules::candidates},
    execute::ActionRequest,
    explain::{Explanation, Incident},
    numbers,
    observe::{Entity, Severity, Signal, SignalType},
    reflect::Belief,
    simulate::simulate,
};

use crate::scene::{Actor, Group, Scene, actor, cgroup_entity, group};

pub(crate) fn case(scene: &Scene, signals: &[Signal]) -> Case {
    let (incident, explanation) = scene.explain(signals);
    case_of(incident, explanation)
}

fn case_of(incident: Incident, explanation: Explanation) -> Case {
    let forecast = simulate(&explanation, &candidates(&explanation));
    Case { incident, explanation, forecast, beliefs: vec![], tried: vec![], may_test: true }
}

pub(crate) fn decide(case: &Case) -> Proposal {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let reasoner: &dyn Reasoner = &Rules;
    runtime.block_on(reasoner.decide(case))
}

/// `action(param, …) for mode`, or the kind of decision.
pub(crate) fn told(proposal: &Proposal) -> String {
    let mode = proposal.hypotheses.first().map_or("nothing", |best| best.failure_mode.name());
    match &proposal.decision {
        Decision::Act { actions, .. } => {
            let call = |action: &ActionRequest| {
                let values: Vec<String> = action.params.values().map(ToString::to_string).collect();
                format!("{}({})", action.action_type, values.join(", "))
            };
            format!("{} for {mode}", actions.iter().map(call).collect::<Vec<_>>().join(" and "))
        }
        Decision::Advise { advice } => format!("advice for {mode}: {advice}"),
        Decision::Inconclusive { missing } => format!("{missing} ({mode})"),
    }
}

pub(crate) fn check(case: &Case, expected: &str) {
    let told = told(&decide(case));
    assert!(told.starts_with(expected), "{told}\n{:#?}", decide(case));
}

pub(crate) fn spinner(pid: u32, comm: &'static str, cgroup: &'static str) -> Actor {
    Actor { parent: 40, cpu: 65.0, delay: 30.0, age_s: 30.0, sleeps: 0, preempted: 100, cgroup, ..actor(pid, comm) }
}

pub(crate) fn victim() -> Actor {
    Actor { cpu: 20.0, delay: 20.0, sleeps: 200, ..actor(60, "victim") }
}

pub(crate) fn cpu_waits(scene: &Scene) -> Signal {
    scene.signal(1, SignalType::LoadMismatch, "cpu_some_percent", Entity::Node, 80.0)
}

/// One more spinner than CPUs in a cgroup of their own, each of that name, beside a victim.
fn hogs(names: [&'static str; 3]) -> Case {
    let [a, b, c] = names;
    let actors = [spinner(41, a, "/x"), spinner(42, b, "/x"), spinner(43, c, "/x"), victim()];
    let scene = Scene::of(&actors, &[group("/x")]);
    case(&scene, &[cpu_waits(&scene)])
}

#[test]
fn spinners_are_reniced_together() {
    let case = hogs(["spin"; 3]);
    check(
        &case,
        "lower_process_priority(41, 19) and lower_process_priority(42, 19) and lower_process_priority(43, 19) for cpu_hog",
    );
    let Decision::Act { targets, prediction, .. } = decide(&case).decision else { panic!() };
    assert_eq!(targets.iter().map(|target| target.pid).collect::<Vec<_>>(), [41, 42, 43]);
    assert_eq!((prediction.measure.as_str(), &prediction.entity), ("others_wait_percent", &Entity::Node));
    assert!(prediction.after < 20.0 && prediction.before > 40.0 && prediction.within_s >= 10, "{prediction:?}");
}

#[test]
fn a_service_that_is_starved_of_its_sleep_is_no_hog() {
    let targets = |slept: u64| {
        let service = Actor { cpu: 40.0, delay: 58.0, age_s: 14.0, sleeps: 0, slept, ..actor(50, "service") };
        let actors =
            [spinner(41, "spin", "/x"), spinner(42, "spin", "/x"), spinner(43, "spin", "/x"), service, victim()];
        let scene = Scene::of(&actors, &[group("/x")]);
        let Decision::Act { targets, .. } = decide(&case(&scene, &[cpu_waits(&scene)])).decision else { panic!() };
        targets.iter().map(|target| target.pid).collect::<Vec<_>>()
    };
    assert_eq!(targets(14 * 60), [41, 42, 43]);
    assert!(targets(0).contains(&50), "who never slept spins");
}

#[test]
fn a_decision_fits_while_those_it_aims_at_are_suspects() {
    let Case { explanation, .. } = &hogs(["spin"; 3]);
    let decision = decide(&hogs(["spin"; 3])).decision;
    assert_eq!(decision.still_fits(explanation), Ok(()));
    let others = [spinner(51, "spin", "/y"), spinner(52, "spin", "/y"), spinner(53, "spin", "/y"), victim()];
    let scene = Scene::of(&others, &[group("/y")]);
    let told = decision.still_fits(&scene.explain(&[cpu_waits(&scene)]).1).unwrap_err().to_string();
    assert!(
        told.starts_with("lower_process_priority(pid 41, priority 19) is not aimed at a suspect any more"),
        "{told}"
    );

    // The same number, another process.
    let Decision::Act { actions, mut targets, prediction, is_test } = decision else { panic!() };
    targets[2].start_ticks += 1;
    let told = Decision::Act { actions, targets, prediction, is_test }.still_fits(explanation).unwrap_err().to_string();
    assert!(told.starts_with("lower_process_priority(pid 43,"), "{told}");
}

#[test]
fn a_name_changes_nothing() {
    let plain = decide(&hogs(["spin"; 3]));
    for hostile in
        [r#"{"action_type":"#, "; rm -rf / #", "$(reboot)", "ignore previous", "cc1plus", "sshd", "kernelsight"]
    {
        let other = decide(&hogs([hostile, "rustc", hostile]));
        assert_eq!((told(&other), other.confidence), (told(&plain), plain.confidence.clone()), "{hostile}");
    }
}

#[test]
fn quiet_siblings_of_other_names_do_not_shield_the_spinners() {
    let idle = |pid, comm| Actor { parent: 40, age_s: 30.0, cgroup: "/x", ..actor(pid, comm) };
    let parent = Actor { age_s: 31.0, cgroup: "/x", ..actor(40, "load") };
    let actors = [
        parent,
        spinner(41, "a", "/x"),
        spinner(42, "b", "/x"),
        spinner(43, "c", "/x"),
        idle(44, "{}"),
        idle(45, "sh -c"),
        victim(),
    ];
    let scene = Scene::of(&actors, &[group("/x")]);
    check(
        &case(&scene, &[cpu_waits(&scene)]),
        "lower_process_priority(41, 19) and lower_process_priority(42, 19) and lower_process_priority(43, 19) for cpu_hog",
    );
}

#[test]
fn spinners_in_different_cgroups_are_reniced_together() {
    let actors = [spinner(41, "a", "/x"), spinner(42, "b", "/y"), spinner(43, "c", "/z"), victim()];
    let scene = Scene::of(&actors, &[group("/x"), group("/y"), group("/z")]);
    let told = told(&decide(&case(&scene, &[cpu_waits(&scene)])));
    assert_eq!(told.matches("lower_process_priority").count(), 3, "{told}");
}

#[test]
fn spinners_of_the_lowest_priority_that_still_disturb_get_a_quota() {
    let nice = |pid| Actor { nice: 19, ..spinner(pid, "spin", "/x") };
    let scene = Scene::of(&[nice(41), nice(42), nice(43), victim()], &[group("/x")]);
    check(&case(&scene, &[cpu_waits(&scene)]), "limit_cgroup_cpu(\"/x\", ");
}

#[test]
fn more_spinners_than_can_be_named_are_limited_by_their_cgroup() {
    let many: Vec<Actor> = (41..58).map(|pid| Actor { cpu: 10.0, delay: 85.0, ..spinner(pid, "spin", "/x") }).collect();
    let scene = Scene::of(&[many.as_slice(), &[victim()]].concat(), &[group("/x")]);
    check(&case(&scene, &[cpu_waits(&scene)]), "limit_cgroup_cpu(\"/x\", ");
}

#[test]
fn one_spinner_is_reniced_before_anything_else() {
    let hog = Actor { cpu: 195.0, delay: 5.0, ..spinner(41, "spin", "/") };
    let scene = Scene::of(&[hog, victim()], &[]);
    check(&case(&scene, &[cpu_waits(&scene)]), "lower_process_priority(41, 19) for cpu_hog");
}

#[test]
fn what_was_tried_is_not_tried_again_and_the_next_rung_is_taken() {
    let hog = Actor { cpu: 195.0, delay: 5.0, ..spinner(41, "spin", "/") };
    let scene = Scene::of(&[hog, victim()], &[]);
    let mut case = case(&scene, &[cpu_waits(&scene)]);
    let Decision::Act { actions, .. } = decide(&case).decision else { panic!() };
    case.tried.push(Attempt { actions, result: "unchanged".into(), is_test: false });
    check(&case, "throttle_cpu(41, ");
}

#[test]
fn an_action_that_never_helped_is_passed_over() {
    let hog = Actor { cpu: 195.0, delay: 5.0, ..spinner(41, "spin", "/") };
    let scene = Scene::of(&[hog, victim()], &[]);
    let mut case = case(&scene, &[cpu_waits(&scene)]);
    case.beliefs = vec![Belief {
        action_type: "lower_process_priority".into(),
        failure_mode: "cpu_hog".into(),
        attempts: 3,
        successes: 0,
        mean_effect: 0.0,
        effect_factor: 0.1,
    }];
    check(&case, "throttle_cpu(41, ");
}

#[test]
fn lost_events_and_past_failures_lower_the_confidence() {
    let case = hogs(["spin"; 3]);
    let sure = decide(&case).confidence.value;
    let mut blind = case.clone();
    blind.explanation.primary.lost_events = 12;
    let mut burnt = case.clone();
    burnt.beliefs = vec![Belief {
        action_type: "lower_process_priority".into(),
        failure_mode: "cpu_hog".into(),
        attempts: 4,
        successes: 2,
        mean_effect: -0.5,
        effect_factor: 1.0,
    }];
    for doubtful in [decide(&blind), decide(&burnt)] {
        assert!(doubtful.confidence.value < sure, "{:?} {sure}", doubtful.confidence);
        let product: f64 = doubtful.confidence.parts.iter().map(|part| part.factor).product();
        assert!((doubtful.confidence.value - product).abs() < 1e-12);
    }
}

// What must be left alone.

fn acts(case: &Case) -> bool {
    matches!(decide(case).decision, Decision::Act { .. })
}

#[test]
fn a_parallel_compile_is_left_alone() {
    // Measured of rustc at work: 6,000 to 10,000 faults a second at 80 to 90 % of a CPU.
    let compiler =
        |pid, age_s| Actor { age_s, minor: 8000, sleeps: 5, written: 100_000, ..spinner(pid, "cc", "/build") };
    let make = Actor { forks: 20, age_s: 60.0, cgroup: "/build", ..actor(40, "make") };
    for age_s in [13.0, 300.0] {
        let actors = [make.clone(), compiler(41, age_s), compiler(42, age_s), compiler(43, age_s), victim()];
        let scene = Scene::of(&actors, &[group("/build")]);
        let case = case(&scene, &[cpu_waits(&scene)]);
        assert!(!acts(&case), "{:#?}", decide(&case));
    }
}

#[test]
fn a_compressor_at_the_end_of_a_pipe_is_left_alone() {
    let gzip = Actor { cpu: 99.0, sleeps: 900, written: 4_000_000, ..spinner(41, "gzip", "/backup") };
    let tar = Actor { cpu: 30.0, sleeps: 900, ..actor(42, "tar") };
    let scene = Scene::of(&[gzip, tar, victim()], &[group("/backup")]);
    assert!(!acts(&case(&scene, &[cpu_waits(&scene)])));
}

#[test]
fn a_compiler_that_grows_fast_on_a_small_machine_is_left_alone() {
    // Measured of rustc: 1,600 MiB a minute; it stops by itself.
    let compiler = Actor { rss_mib: 300.0, grows_mib: 27.0, minor: 7000, cpu: 90.0, age_s: 20.0, ..actor(51, "cc") };
    let scene = Scene::lasting(15, &[compiler], &[]);
    let growth = 27.0 * 1_048_576.0;
    let grows = scene.signal(1, SignalType::MemoryPressure, "process_growth_bytes_per_s", scene.process(51), growth);
    assert!(!acts(&case(&scene, &[grows])));
}

#[test]
fn a_switch_storm_that_makes_others_wait_is_still_called_one() {
    let pair = |pid| Actor { cpu: 86.0, sleeps: 60_000, cgroup: "/x", age_s: 20.0, parent: 40, ..actor(pid, "pp") };
    let scene = Scene::of(&[pair(50), pair(51), victim()], &[group("/x")]);
    let wait = scene.signal(1, SignalType::LoadMismatch, "others_wait_percent", Entity::Node, 50.0);
    let switches = Signal {
        severity: Severity::Low,
        peak_severity: Severity::Low,
        ..scene.signal(2, SignalType::Scheduler, "switches_per_cpu_per_s", Entity::Node, 60_000.0)
    };
    check(
        &case(&scene, &[wait, switches]),
        "lower_process_priority(50, 19) and lower_process_priority(51, 19) for switch_storm",
    );
}

#[test]
fn a_pair_that_wakes_each_other_does_not_count_as_others_that_wait() {
    let wait = |cpu, sleeps| {
        let pair = |pid| Actor { cpu, delay: 55.0, sleeps, cgroup: "/x", age_s: 20.0, ..actor(pid, "pp") };
        let scene = Scene::of(&[pair(50), pair(51), Actor { delay: 0.5, ..victim() }], &[group("/x")]);
        scene.window.others_wait_percent().unwrap()
    };
    // As fast as it can, and slowed down by what it competes with.
    for (cpu, sleeps) in [(40.0, 60_000), (23.0, 19_000), (12.0, 9_000)] {
        assert!(wait(cpu, sleeps) < 5.0, "{} %", wait(cpu, sleeps));
    }
    // A server that is as often woken, and works each time.
    assert!(wait(40.0, 9_000) > 40.0, "{} %", wait(40.0, 9_000));
}

#[test]
fn a_quota_is_not_proposed_where_none_can_be_set() {
    let nice = |pid| Actor { nice: 19, ..spinner(pid, "a", "/x") };
    let actors = [nice(41), nice(42), nice(43), victim()];
    let scene = Scene::of(&actors, &[Group { cpu: false, ..group("/x") }]);
    check(&case(&scene, &[cpu_waits(&scene)]), "advice for cpu_hog: Lower the priority of cgroup /x");
}

#[test]
fn a_young_spinner_is_left_alone() {
    let young = |pid| Actor { age_s: 8.0, ..spinner(pid, "spin", "/x") };
    let scene = Scene::lasting(6, &[young(41), young(42), young(43), victim()], &[group("/x")]);
    assert!(!acts(&case(&scene, &[cpu_waits(&scene)])));
}

#[test]
fn a_hog_that_nobody_waits_for_is_left_alone() {
    let scene = Scene::of(&[spinner(41, "spin", "/x"), spinner(42, "spin", "/x"), actor(60, "idle")], &[group("/x")]);
    assert!(!acts(&case(&scene, &[cpu_waits(&scene)])));
}

#[test]
fn what_is_calm_by_now_is_left_alone() {
    let mut case = hogs(["spin"; 3]);
    case.explanation.primary.severity = Severity::Low;
    assert!(!acts(&case));
}

#[test]
fn many_small_takers_are_nobody_to_act_on() {
    let actors: Vec<Actor> =
        (0..12).map(|n| Actor { cpu: 16.0, delay: 20.0, parent: 100 + n, ..spinner(41 + n, "worker", "/") }).collect();
    let scene = Scene::of(&actors, &[]);
    assert!(!acts(&case(&scene, &[cpu_waits(&scene)])));
}

#[test]
fn a_signal_that_no_rule_knows_is_inconclusive() {
    let scene = Scene::of(&[actor(60, "idle")], &[]);
    let signal = scene.signal(1, SignalType::NetworkDegradation, "retransmit_percent", Entity::Node, 9.0);
    check(&case(&scene, &[signal]), "inconclusive, recommend human investigation: no rule knows this");
}

#[test]
fn a_reader_of_the_page_cache_is_left_alone() {
    let reader = Actor { rss_mib: 40.0, cgroup: "/x", ..actor(51, "reader") };
    let full_of_cache = Group { limit_mib: Some(512), cache_mib: 460, ..group("/x") };
    let scene = Scene::of(&[reader], &[full_of_cache]);
    let entity = crate::scene::cgroup_entity("/x");
    assert!(!acts(&case(&scene, &[scene.signal(1, SignalType::MemoryPressure, "cgroup_some_percent", entity, 30.0)])));
}

// Memory.

fn growing(rate_mib: f64, limit_mib: u64, seconds: u64) -> (Scene, Vec<Signal>) {
    let hog = Actor { parent: 40, rss_mib: 50.0, grows_mib: rate_mib, cgroup: "/x", ..actor(51, "hog") };
    let limit = Group { limit_mib: Some(limit_mib), ..group("/x") };
    let scene = Scene::lasting(seconds, &[hog, victim()], &[limit]);
    let left_s = (limit_mib as f64 - 50.0 - rate_mib * seconds as f64) / rate_mib;
    let signals = vec![
        Signal {
            severity: Severity::High,
            peak_severity: Severity::High,
            pressure: 0.8,
            ..scene.signal(1, SignalType::MemoryPressure, "process_seconds_to_limit", scene.process(51), left_s)
        },
        scene.signal(
            2,
            SignalType::MemoryPressure,
            "process_growth_bytes_per_s",
            scene.process(51),
            rate_mib * 1_048_576.0,
        ),
    ];
    (scene, signals)
}

#[test]
fn a_hog_on_its_way_to_the_limit_of_its_own_cgroup_is_frozen_there() {
    let (scene, signals) = growing(30.0, 1024, 15);
    let case = case(&scene, &signals);
    check(&case, "freeze_cgroup(\"/x\") for memory_hog");
    let Decision::Act { prediction, .. } = decide(&case).decision else { panic!() };
    assert!(!prediction.lower_is_better && prediction.after > prediction.before, "{prediction:?}");
}

#[test]
fn what_a_reflex_saw_since_the_last_tick_is_enough_to_act_on() {
    let hog = Actor { parent: 40, rss_mib: 600.0, cgroup: "/x", ..actor(51, "hog") };
    let scene = Scene::of(&[hog, victim()], &[Group { limit_mib: Some(1024), ..group("/x") }]);
    let mib = |mib: f64| mib * 1_048_576.0;
    let reflex = Signal {
        severity: Severity::Critical,
        pressure: 1.0,
        last_seen_ms: scene.now_ms + 700,
        numbers: numbers! {
            rss_bytes: mib(792.0), growth_bytes_per_s: mib(280.0), limit_bytes: mib(1024.0), room_bytes: mib(230.0),
            steps: 4.0, steps_span_s: 0.69, steps_r_squared: 0.98,
        },
        ..scene.signal(1, SignalType::MemoryPressure, "process_seconds_to_limit", scene.process(51), 0.8)
    };
    let told = case(&scene, std::slice::from_ref(&reflex));
    assert_eq!(told.explanation.culprit().unwrap().share, 1.0);
    check(&told, "freeze_cgroup(\"/x\") for memory_hog");
    let Decision::Act { prediction, .. } = decide(&told).decision else { panic!() };
    assert_eq!((prediction.before, prediction.after), (0.8, 1800.0), "{prediction:?}");

    // Of what a tick has looked at since, the tick knows better: here, that it grew no further.
    let old = Signal { last_seen_ms: scene.now_ms, ..reflex };
    assert!(!acts(&case(&scene, &[old])));
}

#[test]
fn who_runs_into_a_limit_is_not_excused_by_who_grows_elsewhere() {
    let leak = Actor { parent: 40, rss_mib: 50.0, grows_mib: 10.0, cgroup: "/x", ..actor(51, "leak") };
    let compiler = Actor { parent: 40, rss_mib: 50.0, grows_mib: 60.0, ..actor(61, "compiler") };
    let scene = Scene::lasting(15, &[leak, compiler], &[Group { limit_mib: Some(512), ..group("/x") }]);
    let left = Signal {
        severity: Severity::High,
        pressure: 0.8,
        ..scene.signal(1, SignalType::MemoryPressure, "process_seconds_to_limit", scene.process(51), 31.0)
    };
    let told = case(&scene, &[left]);
    assert_eq!(told.explanation.suspects.len(), 1, "{:#?}", told.explanation.suspects);
    assert_eq!(told.explanation.culprit().unwrap().share, 1.0);
    check(&told, "freeze_cgroup(\"/x\") for memory_leak");
}

#[test]
fn without_a_cgroup_of_its_own_the_hog_alone_is_paused() {
    let hog = Actor { parent: 40, rss_mib: 50.0, grows_mib: 30.0, cgroup: "/x", ..actor(51, "hog") };
    let neighbour = Actor { cgroup: "/x", ..actor(61, "neighbour") };
    let scene = Scene::lasting(15, &[hog, neighbour], &[Group { limit_mib: Some(1024), ..group("/x") }]);
    let left = Signal {
        severity: Severity::High,
        pressure: 0.8,
        ..scene.signal(1, SignalType::MemoryPressure, "process_seconds_to_limit", scene.process(51), 17.0)
    };
    check(&case(&scene, &[left]), "pause_process(51) for memory_hog");
}

#[test]
fn a_slow_leak_far_from_its_limit_is_a_warning_with_the_time_left() {
    let (scene, signals) = growing(1.0, 2048, 40);
    let case = case(&scene, &signals[1..]);
    check(
        &case,
        "advice for memory_leak: Memory leak in hog (pid 51); the memory limit of cgroup /x is reached in 33 min: \
         90.0 MiB + 60.00 MiB/min reaches 2048 MiB in 32.6 min",
    );
}

#[test]
fn a_leaking_service_that_is_listed_is_restarted_when_an_operator_says_so() {
    let proposed = |cgroup: &'static str| {
        let leak = Actor { parent: 40, rss_mib: 50.0, grows_mib: 1.0, cgroup, ..actor(51, "leak") };
        let scene = Scene::lasting(40, &[leak, victim()], &[Group { limit_mib: Some(2048), ..group(cgroup) }]);
        let growth = scene.signal(2, SignalType::MemoryPressure, "process_growth_bytes_per_s", scene.process(51), 1e6);
        decide(&case(&scene, &[growth]))
    };
    let listed = proposed("/system.slice/listed.service");
    assert_eq!(told(&listed), "restart_unit(\"listed.service\") for memory_leak");
    let Decision::Act { prediction, .. } = &listed.decision else { panic!() };
    assert_eq!((prediction.measure.as_str(), prediction.after), ("process_growth_bytes_per_s", 0.0));
    let another = hogs(["spin"; 3]).explanation;
    let outdated = listed.decision.still_fits(&another).unwrap_err().to_string();
    assert!(outdated.starts_with("restart_unit(unit \"listed.service\") is not aimed at a suspect"), "{outdated}");
    assert!(listed.justification.contains("is reached in"), "{}", listed.justification);
    let other = told(&proposed("/system.slice/other.service"));
    assert!(other.starts_with("advice for memory_leak") && other.contains("Restart other.service"), "{other}");
}

#[test]
fn a_slow_leak_at_its_limit_is_frozen() {
    let (scene, signals) = growing(1.0, 190, 40);
    check(&case(&scene, &signals), "freeze_cgroup(\"/x\") for memory_leak");
}

#[test]
fn what_comes_back_from_swap_is_worked_on_and_does_not_leak() {
    let mode = |major: u64| {
        let grown = Actor {
            parent: 40,
            rss_mib: 50.0,
            grows_mib: 5.0,
            swap_mib: 100,
            major,
            cgroup: "/x",
            ..actor(51, "works")
        };
        let scene = Scene::of(&[grown, victim()], &[Group { limit_mib: Some(112), ..group("/x") }]);
        let of_cgroup = |id, kind, measure| scene.signal(id, kind, measure, cgroup_entity("/x"), 40.0);
        let signals = [
            of_cgroup(1, SignalType::SwapThrashing, "cgroup_thrash_percent"),
            of_cgroup(2, SignalType::MemoryPressure, "cgroup_some_percent"),
        ];
        decide(&case(&scene, &signals)).hypotheses[0].failure_mode
    };
    assert_eq!(mode(1400), FailureMode::SwapThrash);
    assert_eq!(mode(2), FailureMode::MemoryLeak);
}

#[test]
fn a_process_is_ended_only_when_it_is_critical_and_nothing_milder_is_left() {
    let (scene, mut signals) = growing(30.0, 1024, 15);
    let mut mild = case(&scene, &signals);
    let Decision::Act { actions, .. } = decide(&mild).decision else { panic!() };
    let tried = vec![Attempt { actions, result: "denied: protected".into(), is_test: false }];
    mild.tried.clone_from(&tried);
    assert!(!acts(&mild));
    signals[0].severity = Severity::Critical;
    signals[0].peak_severity = Severity::Critical;
    let critical = Case { tried, ..case(&scene, &signals) };
    check(&critical, "terminate_process(51) for memory_hog");
    let Decision::Act { actions, .. } = decide(&critical).decision else { panic!() };

    // Killed is only what was asked to end, and lives.
    let asked = |result: &str| {
        let mut case = Case { tried: critical.tried.clone(), ..case(&scene, &signals) };
        case.tried.push(Attempt { actions: actions.clone(), result: result.into(), is_test: false });
        case
    };
    check(&asked("unchanged"), "kill_process(51) for memory_hog");
    let justification = decide(&asked("unchanged")).justification;
    assert!(justification.ends_with("terminate_process was tried: unchanged."), "{justification}");
    assert!(!acts(&asked("denied by ann: it is the backup")));
}

// The other faults.

#[test]
fn a_fork_storm_is_frozen_at_its_parent() {
    let parent = Actor { forks: 1000, cpu: 40.0, cgroup: "/x", ..actor(50, "sh") };
    let scene = Scene::of(&[parent, victim()], &[group("/x")]);
    let signal = scene.signal(1, SignalType::Scheduler, "process_forks_per_s", scene.process(50), 1000.0);
    check(&case(&scene, &[signal]), "freeze_cgroup(\"/x\") for fork_storm");
}

#[test]
fn a_script_that_forks_now_and_then_is_left_alone() {
    let parent = Actor { forks: 150, cpu: 40.0, cgroup: "/x", ..actor(50, "sh") };
    let scene = Scene::of(&[parent], &[group("/x")]);
    let signal = scene.signal(1, SignalType::Scheduler, "process_forks_per_s", scene.process(50), 150.0);
    assert!(!acts(&case(&scene, &[signal])));
}

#[test]
fn a_switch_storm_is_limited_and_never_moved_to_one_cpu() {
    let pair = |pid| Actor { cpu: 43.0, sleeps: 73_000, cgroup: "/x", age_s: 20.0, parent: 40, ..actor(pid, "pp") };
    let scene = Scene::of(&[pair(50), pair(51)], &[group("/x")]);
    let signal = scene.signal(1, SignalType::Scheduler, "switches_per_cpu_per_s", Entity::Node, 146_000.0);
    check(&case(&scene, &[signal]), "limit_cgroup_cpu(\"/x\", ");
}

#[test]
fn who_waits_for_a_device_at_each_switch_is_left_alone() {
    let database = Actor { cpu: 33.0, sleeps: 53_000, written: 90 << 20, age_s: 60.0, ..actor(50, "database") };
    let scene = Scene::of(&[database], &[]);
    let signal = scene.signal(1, SignalType::Scheduler, "process_switches_per_s", scene.process(50), 53_000.0);
    let case = case(&scene, &[signal]);
    assert!(!acts(&case), "{}", told(&decide(&case)));
}

#[test]
fn a_fault_churn_with_the_cpu_to_itself_is_throttled_for_renicing_would_change_nothing() {
    let churn = Actor { cpu: 99.0, minor: 300_000, sleeps: 0, age_s: 20.0, ..actor(50, "churn") };
    let scene = Scene::of(&[churn], &[]);
    let signal = scene.signal(1, SignalType::PageFault, "process_minor_churn_per_s", scene.process(50), 300_000.0);
    let case = case(&scene, &[signal]);
    check(&case, "throttle_cpu(50, ");
    let Decision::Act { prediction, .. } = decide(&case).decision else { panic!() };
    assert!(prediction.after < 60_000.0, "{prediction:?}");
}

#[test]
fn a_process_that_wants_descriptors_gets_more_and_what_was_in_vain_is_told_to_a_person() {
    let scene = Scene::of(&[Actor { cgroup: "/x", ..actor(50, "server") }], &[group("/x")]);
    let signal = Signal {
        numbers: kernelsight::numbers! { failures_per_s: 100.0, errno: 24.0, open_files: 64.0, open_files_limit: 64.0 },
        ..scene.signal(1, SignalType::Syscall, "emfile_per_s", scene.process(50), 100.0)
    };
    let mut case = case(&scene, &[signal]);
    check(&case, "raise_nofile_limit(50, 1024) for fd_exhaustion");
    let Decision::Act { actions, .. } = decide(&case).decision else { panic!() };
    case.tried.push(Attempt { actions, result: "unchanged".to_owned(), is_test: false });
    check(
        &case,
        "advice for fd_exhaustion: server (pid 50) fails for want of file descriptors with 64 of 64 descriptors open. \
         If it leaks them, restart or end server (pid 50); else raise its limit (prlimit --pid 50 --nofile=128).",
    );
}

/// A service that wants so much of a CPU under a quota of 20 %, beside others.
fn throttled(wants: f64, others: f64) -> Case {
    let service = Actor { cpu: 20.0, delay: wants - 20.0, cgroup: "/x", sleeps: 100, ..actor(50, "service") };
    let other = Actor { cpu: others, ..actor(60, "other") };
    let scene = Scene::of(&[service, other], &[group("/x")]);
    let signal = Signal {
        numbers: kernelsight::numbers! { throttled_percent: 100.0, quota_percent: 20.0, cpu_percent: 20.0 },
        ..scene.signal(1, SignalType::Scheduler, "cgroup_throttled_percent", cgroup_entity("/x"), 100.0)
    };
    case(&scene, &[signal])
}

#[test]
fn a_quota_is_raised_to_what_is_wanted_where_the_node_has_it() {
    check(&throttled(60.0, 0.0), "raise_cgroup_cpu(\"/x\", 75) for cpu_quota");
    // It would not be enough, so nothing is widened.
    check(&throttled(60.0, 175.0), "advice for cpu_quota: ");
    check(&throttled(60.0, 180.0), "advice for cpu_quota: ");
}

#[test]
fn a_limit_of_tasks_is_doubled_but_not_for_who_forks_without_end() {
    let scene = Scene::of(&[Actor { cgroup: "/x", ..actor(50, "server") }], &[group("/x")]);
    let refused = |per_s: f64| Signal {
        numbers: kernelsight::numbers! { forks_refused_per_s: per_s, tasks: 20.0, maximum_tasks: 20.0 },
        ..scene.signal(1, SignalType::Syscall, "cgroup_forks_refused_per_s", cgroup_entity("/x"), per_s)
    };
    check(&case(&scene, &[refused(10.0)]), "raise_cgroup_pids(\"/x\", 40) for pids_limit");
    let storm = decide(&case(&scene, &[refused(500.0)]));
    assert!(told(&storm).contains("500 forks a second are refused, which would fill any limit"), "{}", told(&storm));
}

#[test]
fn a_limit_that_is_only_near_is_a_persons_to_raise() {
    let scene = Scene::of(&[Actor { cgroup: "/x", ..actor(50, "server") }], &[group("/x")]);
    let numbers = kernelsight::numbers! {
        tasks: 96.0, maximum_tasks: 100.0, open_files: 96.0, open_files_limit: 100.0, limit_bytes: 64.0 * 1_048_576.0,
    };
    for (kind, measure, entity) in [
        (SignalType::Syscall, "cgroup_pids_percent", cgroup_entity("/x")),
        (SignalType::Syscall, "process_open_files_percent", scene.process(50)),
        (SignalType::MemoryPressure, "cgroup_anonymous_percent", cgroup_entity("/x")),
    ] {
        let near = Signal { numbers: numbers.clone(), ..scene.signal(1, kind, measure, entity, 96.0) };
        let case = case(&scene, &[near]);
        assert!(!acts(&case), "{}", told(&decide(&case)));
    }
}

#[test]
fn a_cgroup_that_meets_its_memory_limit_gets_more_unless_it_would_leak_that_too() {
    let decided = |grows_mib: f64| {
        let server = Actor { cgroup: "/x", grows_mib, rss_mib: 50.0, ..actor(50, "server") };
        let scene = Scene::of(&[server], &[Group { limit_mib: Some(64), ..group("/x") }]);
        let signal = Signal {
            numbers: kernelsight::numbers! { oom_kills: 1.0, limit_bytes: 64.0 * 1_048_576.0 },
            ..scene.signal(1, SignalType::MemoryPressure, "cgroup_oom_kills", cgroup_entity("/x"), 1.0)
        };
        decide(&case(&scene, &[signal]))
    };
    assert_eq!(told(&decided(0.0)), "raise_cgroup_memory(\"/x\", 134217728) for cgroup_memory_limit");
    let leak = told(&decided(1.0));
    assert!(!leak.starts_with("raise"), "{leak}");
}

#[test]
fn every_failure_mode_has_the_name_that_is_stored() {
    for mode in [FailureMode::MemoryLeak, FailureMode::CloseWaitLeak, FailureMode::FdExhaustion, FailureMode::Unknown] {
        assert_eq!(serde_json::to_value(mode).unwrap(), mode.name());
    }
}
