//! What happens if nothing is done, and what an action would change.

use expect_test::expect;
use kernelsight::{
    execute::ActionRequest,
    explain::{Direction, Trend},
    observe::{Entity, SignalType},
    simulate::{effect::weight, reach, simulate},
};
use serde_json::json;

use crate::scene::{Actor, Group, Scene, actor, group};

fn trend(slope_per_min: f64, r_squared: f64) -> Trend {
    let direction = if slope_per_min > 0.0 { Direction::Rising } else { Direction::Falling };
    let measure = "used_percent".to_owned();
    Trend { measure, current: 35.2, slope_per_min, r_squared, direction, points: 30, span_s: 30.0 }
}

#[test]
fn a_projection_shows_its_inputs_and_formula() {
    let projection = reach(&trend(1.18, 0.92), "memory", 35.2, 60.0);
    expect!["35.2 % + 1.18 %/min reaches 60 % in 21.0 min, r² 0.92, 30 points"].assert_eq(&projection.formula);
    assert!((projection.minutes.unwrap() - 21.017).abs() < 0.001);
}

#[test]
fn a_line_that_falls_or_fits_badly_reaches_nothing() {
    let falling = reach(&trend(-1.18, 0.92), "memory", 35.2, 60.0);
    expect!["35.2 % - 1.18 %/min does not reach 60 %, r² 0.92, 30 points"].assert_eq(&falling.formula);
    assert_eq!((falling.minutes, reach(&trend(1.18, 0.3), "memory", 35.2, 60.0).minutes), (None, None));
}

#[test]
fn what_is_beyond_the_threshold_is_there_already() {
    let over = reach(&trend(1.18, 0.92), "memory", 61.0, 60.0);
    assert_eq!(over.minutes, Some(0.0));
    expect!["61.0 % + 1.18 %/min is at 60 % already, r² 0.92, 30 points"].assert_eq(&over.formula);
}

#[test]
fn a_leak_is_told_as_the_time_until_the_limit_of_its_cgroup() {
    let leak = Actor { rss_mib: 100.0, grows_mib: 1.0, cgroup: "/x", ..actor(51, "leak") };
    let limit = Group { limit_mib: Some(1400), ..group("/x") };
    let scene = Scene::lasting(40, &[leak], &[limit]);
    let growth =
        scene.signal(1, SignalType::MemoryPressure, "process_growth_bytes_per_s", scene.process(51), 1_048_576.0);
    let forecast = simulate(&scene.explain(&[growth]).1, &[]);
    expect!["OOM in 21 min if nothing is done (the memory limit of cgroup /x: 140.0 MiB + 60.00 MiB/min reaches 1400 MiB in 21.0 min, r² 1.00, 41 points)"]
        .assert_eq(&forecast.if_nothing_is_done);
}

fn action(action_type: &str, params: serde_json::Value) -> ActionRequest {
    ActionRequest { action_type: action_type.into(), params: params.as_object().unwrap().clone() }
}

/// Three spinners on two CPUs and one who wants a CPU now and then.
fn hogs_and_victim() -> Scene {
    let hog =
        |pid| Actor { parent: 40, cpu: 60.0, delay: 40.0, age_s: 30.0, sleeps: 0, cgroup: "/x", ..actor(pid, "a") };
    let victim = Actor { cpu: 20.0, delay: 30.0, ..actor(60, "victim") };
    Scene::of(&[hog(41), hog(42), hog(43), victim], &[group("/x")])
}

#[test]
fn a_quota_is_measured_by_the_wait_of_the_others_and_not_by_pressure() {
    let scene = hogs_and_victim();
    let pressure = scene.signal(1, SignalType::LoadMismatch, "cpu_some_percent", Entity::Node, 80.0);
    let (_, explanation) = scene.explain(&[pressure]);
    assert_eq!(explanation.yardstick().measure, "others_wait_percent");
    let quota = action("limit_cgroup_cpu", json!({ "cgroup": "/x", "percent": 10 }));
    let forecast = simulate(&explanation, &[quota.into()]);
    expect!["others_wait_percent 60.0 % × (1 − 0.90 × (1 − 0.06)) = 9.0 %, medium at 20.0 %; left 0.06 = 10 % of a CPU / 180 % used now"]
        .assert_eq(&forecast.effects[0].formula);
    assert!(forecast.effects[0].suffices);
}

#[test]
fn an_action_on_nobody_who_is_suspected_is_expected_to_change_nothing() {
    let scene = hogs_and_victim();
    let pressure = scene.signal(1, SignalType::LoadMismatch, "cpu_some_percent", Entity::Node, 80.0);
    let effects =
        simulate(&scene.explain(&[pressure]).1, &[action("pause_process", json!({ "pid": 4711 })).into()]).effects;
    assert!(!effects[0].suffices);
    assert_eq!(effects[0].before, effects[0].after);
}

#[test]
fn weights_are_those_of_the_fair_scheduler() {
    // kernel/sched/core.c: nice 0 is 1024, nice 10 is 110, nice 19 is 15.
    assert_eq!([0.0, 10.0, 19.0].map(|nice| weight(nice).round()), [1024.0, 110.0, 15.0]);
}
