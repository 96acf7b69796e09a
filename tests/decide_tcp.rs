//! What the rules propose where TCP runs out of something.

use kernelsight::{
    decide::{Attempt, Decision},
    numbers,
    observe::{Numbers, Signal, SignalType},
};

use crate::{
    decide::{case, check, decide, told},
    scene::{Actor, Scene, actor, group},
};

fn client() -> Scene {
    Scene::of(&[Actor { cgroup: "/x", ..actor(50, "client") }], &[group("/x")])
}

fn signal(scene: &Scene, measure: &'static str, value: f64, numbers: Numbers) -> Signal {
    Signal { numbers, ..scene.signal(1, SignalType::TcpExhaustion, measure, scene.process(50), value) }
}

/// Connects that find no port, with so many of 300 in TIME-WAIT.
fn no_port(waiting: f64) -> Numbers {
    numbers! {
        failures_per_s: 100.0, errno: 99.0, local_ports: 300.0, local_port_low: 40_000.0, local_port_high: 40_299.0,
        time_wait_sockets: waiting,
    }
}

#[test]
fn ports_in_time_wait_are_used_again_before_the_range_is_widened() {
    let scene = client();
    let mut case = case(&scene, &[signal(&scene, "no_address_per_s", 100.0, no_port(290.0))]);
    check(&case, "reuse_time_wait(1) for port_exhaustion");
    let Decision::Act { actions, .. } = decide(&case).decision else { panic!() };
    case.tried.push(Attempt { actions, result: "unchanged".to_owned(), is_test: false });
    check(&case, "widen_port_range(15000, 60999) for port_exhaustion");
}

#[test]
fn a_range_whose_ports_are_in_use_is_widened() {
    let scene = client();
    check(
        &case(&scene, &[signal(&scene, "no_address_per_s", 100.0, no_port(10.0))]),
        "widen_port_range(15000, 60999) for port_exhaustion",
    );
}

#[test]
fn the_nodes_ports_are_left_alone_for_who_is_in_another_network() {
    let scene = client();
    let apart = numbers! { failures_per_s: 100.0, errno: 99.0, network_namespace: 4026532001.0 };
    check(
        &case(&scene, &[signal(&scene, "no_address_per_s", 100.0, apart)]),
        "advice for port_exhaustion: client (pid 50) finds no free local port: widen net.ipv4.ip_local_port_range in its \
         network namespace 4026532001, not the node's, or have it keep its connections.",
    );
}

#[test]
fn sockets_in_time_wait_alone_are_no_reason_to_change_anything() {
    let scene = client();
    let many = numbers! { time_wait_sockets: 20_000.0, local_ports: 28_232.0, time_wait_percent: 71.0 };
    check(&case(&scene, &[signal(&scene, "time_wait_percent", 71.0, many)]), "advice for port_exhaustion: ");
}

#[test]
fn who_does_not_close_and_who_accepts_too_slowly_are_told_and_left_alone() {
    let scene = client();
    let leak = numbers! { close_wait_sockets: 500.0, established_sockets: 2.0 };
    check(&case(&scene, &[signal(&scene, "process_close_wait_sockets", 500.0, leak)]), "advice for close_wait_leak: ");
    let slow = numbers! { drops_per_s: 50.0, port: 80.0, waiting: 129.0, backlog: 128.0, somaxconn: 128.0 };
    let full = decide(&case(&scene, &[signal(&scene, "listener_drops_per_s", 50.0, slow)]));
    let advice = told(&full);
    assert!(advice.starts_with("advice for listen_overflow: "), "{advice}");
    assert!(advice.contains("raise net.core.somaxconn above 128 and have it listen anew"), "{advice}");
}
