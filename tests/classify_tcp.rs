//! TCP by process, and whose ports they are that run out.

use expect_test::expect;
use kernelsight::observe::{Sample, SignalType, Window};

use crate::{
    classify_faults::{app_sockets, fails},
    classify_machine::*,
};

/// Two seconds of such a machine, whose agent is the process 1 in the network namespace 7.
fn after(mut change: impl FnMut(&mut Sample)) -> Machine {
    let mut machine = Machine::new();
    machine.window = Window::of_agent(1);
    machine.run(8, |sample| {
        sample.processes[0].network = Some(7);
        change(sample);
    });
    machine
}

#[test]
fn a_listener_that_turns_away_is_told_with_its_port_and_its_queue() {
    let machine = after(|sample| app_sockets(sample, 0, Some(10.0)));
    let reading = machine.reading(SignalType::TcpExhaustion, "listener_drops_per_s");
    expect!["app (pid 100) accepts too slowly at port 80: 10 connections a second are turned away, 2 wait where 1 may"]
        .assert_eq(&reading.sentence);
    assert_eq!(reading.entity, entity(100, "app"));
    // The setting of the node's network is none of a container's.
    assert_eq!(reading.numbers.get("somaxconn"), None);
}

#[test]
fn sockets_that_a_process_does_not_close_are_told_with_those_that_it_serves() {
    let machine = after(|sample| app_sockets(sample, 500, None));
    let reading = machine.reading(SignalType::TcpExhaustion, "process_close_wait_sockets");
    expect!["app (pid 100) holds 500 sockets in CLOSE_WAIT: their peers closed, it did not; 0 are established"]
        .assert_eq(&reading.sentence);
}

#[test]
fn the_nodes_ports_are_told_only_of_who_uses_them() {
    let told = |network: Option<u32>| {
        let machine = after(|sample| {
            app(sample).network = network;
            fails(sample, "connect", 99, 50);
        });
        machine.reading(SignalType::TcpExhaustion, "no_address_per_s")
    };
    let own = told(Some(7));
    expect!["app (pid 100): connect fails with EADDRNOTAVAIL, 50 failures a second; 28,232 local ports in the range; 0 sockets in TIME_WAIT"]
        .assert_eq(&own.sentence);
    assert_eq!(own.numbers.get("local_port_low"), Some(32_768.0));
    let apart = told(Some(8));
    expect!["app (pid 100): connect fails with EADDRNOTAVAIL, 50 failures a second, in the network namespace 8"]
        .assert_eq(&apart.sentence);
    assert_eq!((apart.numbers.get("local_ports"), apart.numbers.get("network_namespace")), (None, Some(8.0)));
}

#[test]
fn what_only_the_nodes_own_network_tells_may_be_missing() {
    let machine = after(|sample| {
        let limits = sample.node.limits.as_mut().unwrap();
        (limits.tcp_max_orphans, limits.tcp_mem_max_pages) = (None, None);
    });
    let measures: Vec<&str> = machine.readings().iter().map(|(_, reading)| reading.measure).collect();
    assert!(measures.contains(&"time_wait_percent"), "{measures:?}");
    assert!(!measures.contains(&"orphans_percent") && !measures.contains(&"tcp_memory_percent"), "{measures:?}");
}
