//! Who waits for a disk: those who do little on it, and not those who wait for what they do themselves.

use kernelsight::observe::{Sample, Window, sample::CgroupSample};

use crate::{
    classify_faults::writer_beside_app,
    classify_machine::{MIB, Machine},
};

/// The newest value of a measure of I/O, of each entity that has one.
fn told(machine: &Machine, measure: &str) -> Vec<(String, f64)> {
    let of_it = machine.readings().into_iter().map(|(_, reading)| reading).filter(|reading| reading.measure == measure);
    of_it.map(|reading| (reading.entity.to_string(), reading.value)).collect()
}

fn others_wait(change: impl FnMut(&mut Sample)) -> f64 {
    let mut machine = Machine::new();
    machine.run(6, change);
    told(&machine, "others_io_wait_percent")[0].1
}

#[test]
fn who_does_little_waits_for_who_does_much() {
    let mut machine = Machine::new();
    machine.run(6, writer_beside_app);
    let (_, reading) =
        machine.readings().into_iter().find(|(_, reading)| reading.measure == "others_io_wait_percent").unwrap();
    assert_eq!(
        reading.sentence,
        "cgroup /app does little I/O, and some task of it waited for I/O 70 % of the time; most I/O: writer (pid 400) \
         12.6 MiB/s"
    );
}

#[test]
fn a_writer_that_is_held_for_a_moment_is_still_the_one_who_writes() {
    let mut machine = Machine::new();
    machine.run(6, writer_beside_app);
    // Held: nothing is written, and the app waits on.
    machine.run(3, |sample| sample.cgroups[0].io_pressure.as_mut().unwrap().some_total_us += 700_000);
    let writer = &machine.window.process_by_pid(400).unwrap();
    assert_eq!(writer.written_bytes_per_s, Some(0.0));
    let mib_per_s = writer.io_bytes_per_s.unwrap() / MIB as f64;
    assert!((5.0..10.0).contains(&mib_per_s), "{mib_per_s}");
    assert_eq!(told(&machine, "others_io_wait_percent"), [("node".to_owned(), 70.0)]);
}

#[test]
fn who_waits_for_what_it_does_itself_is_no_other() {
    let wait = others_wait(|sample| {
        writer_beside_app(sample);
        let app = sample.processes.iter_mut().find(|process| process.id.pid == 100).unwrap();
        app.read_bytes = app.read_bytes.map(|bytes| bytes + 30 * MIB);
    });
    assert_eq!(wait, 0.0);
}

#[test]
fn who_waits_for_a_limit_of_its_own_is_no_other() {
    let wait = others_wait(|sample| {
        writer_beside_app(sample);
        sample.cgroups[0].io_limited = Some(true);
    });
    assert_eq!(wait, 0.0);
}

#[test]
fn the_agents_own_wait_is_nobodys_suffering() {
    let mut machine = Machine::new();
    machine.window = Window::of_agent(100);
    machine.run(6, writer_beside_app);
    assert_eq!(told(&machine, "others_io_wait_percent"), [("node".to_owned(), 0.0)]);
}

#[test]
fn where_no_pressure_is_told_nothing_is_known_of_others() {
    let mut machine = Machine::new();
    machine.next.cgroups[0].io_pressure = None;
    machine.run(6, |_| {});
    assert_eq!(told(&machine, "others_io_wait_percent"), []);
}

#[test]
fn of_cgroups_within_each_other_the_one_that_waits_is_told() {
    let mut machine = Machine::new();
    machine.next.cgroups[0].path = "/app/worker".into();
    let parent = CgroupSample { path: "/app".into(), ..machine.next.cgroups[0].clone() };
    machine.next.cgroups.push(parent);
    machine.run(6, |sample| {
        for (cgroup, us) in sample.cgroups.iter_mut().zip([900_000, 920_000]) {
            cgroup.io_pressure.as_mut().unwrap().some_total_us += us;
        }
    });
    let entities: Vec<String> =
        told(&machine, "cgroup_io_some_percent").into_iter().map(|(entity, _)| entity).collect();
    assert_eq!(entities, ["cgroup /app/worker"]);
}
