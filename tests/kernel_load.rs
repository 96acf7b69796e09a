use kernelsight::observe::kernel::{Kernel, Settings};

#[test]
fn every_probe_is_on() {
    let begun = std::time::Instant::now();
    let mut kernel = Kernel::load(&Settings::default());
    eprintln!("loaded in {:?}", begun.elapsed());
    for probe in kernel.probes() {
        eprintln!("{:24} {:12} {:?}", probe.name, probe.tracer, probe.state);
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    let begun = std::time::Instant::now();
    let sample = kernel.sample().unwrap();
    eprintln!("sample in {:?}", begun.elapsed());
    eprintln!("{sample:?}");
    let begun = std::time::Instant::now();
    let tasks = kernel.tasks().unwrap();
    eprintln!("tasks in {:?}", begun.elapsed());
    for task in tasks.iter().rev().take(8) {
        eprintln!("{task:?}");
    }
}
