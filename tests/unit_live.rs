//! The unit under a real systemd, in a guest that has it: it starts, all its parts are on, and what it does it may do.

use std::{fs, os::unix::process::CommandExt as _, path::Path, process::Command, time::Duration};

use kernelsight::execute::Power;
use serde_json::json;

use crate::{
    daemon::order,
    execute_parent::cgroups,
    execute_support::{Target, sysctl, until},
    unit_guest::{SOCKET, STATE, act, as_a_service, ask, is_the_guest, journal, property, run, start},
};

#[test]
fn installed_by_the_readme_it_is_enabled_and_as_confined_as_that_says() {
    if !is_the_guest() {
        return;
    }
    start();
    assert_eq!(run("systemctl is-enabled kernelsight").trim(), "enabled");
    assert_eq!(property("FragmentPath"), "/etc/systemd/system/kernelsight.service");
    assert_eq!(property("User"), "kernelsight");
    let state = run(&format!("stat --format=%U:%G:%a {STATE}"));
    assert_eq!(state.trim(), "kernelsight:kernelsight:700");
    assert!(as_a_service().contains("enable --now kernelsight"), "the README starts it");
    // As the README tells, of the units as they are loaded here.
    let powers = Power::ALL.into_iter().filter(|power| !power.is_harmless());
    let actors = powers.map(|power| (format!("kernelsight-act-{}@0.service", power.unit()), 1.4));
    for (unit, most) in [("kernelsight.service".to_owned(), 1.3)].into_iter().chain(actors) {
        let said = run(&format!("systemd-analyze security --no-pager {unit}"));
        let exposure = said.lines().last().unwrap().split(": ").nth(1).unwrap().split(' ').next().unwrap();
        assert!(exposure.parse::<f64>().unwrap() <= most, "{unit}: {said}");
    }
}

#[test]
fn the_unit_runs_with_all_its_parts() {
    if !is_the_guest() {
        return;
    }
    start();
    let status = ask("status");
    let off: Vec<String> = status["parts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|part| part["state"] != "on")
        .map(|part| format!("{} {}: {}", part["kind"], part["name"], part["reason"]))
        .collect();
    assert_eq!(off, [""; 0], "{}", journal());
    assert_eq!(status["holds"], json!([]), "it is confined");
}

#[test]
fn an_action_of_each_power_is_done_and_taken_back() {
    if !is_the_guest() {
        return;
    }
    fs::create_dir_all("/srv/listed").unwrap();
    fs::write("/srv/listed/huge.log", "x".repeat(1 << 20)).unwrap();
    let drop_in = Path::new("/etc/systemd/system/kernelsight-act-listed-file@.service.d");
    fs::create_dir_all(drop_in).unwrap();
    fs::write(drop_in.join("listed.conf"), "[Service]\nReadWritePaths=/srv/listed/huge.log\n").unwrap();
    run("systemctl daemon-reload");
    start();
    run("systemd-run --unit=target --quiet sleep 300");
    run("systemd-run --unit=still --quiet sleep 300");
    let cgroup = "/system.slice/target.service";
    let file = |name: &str| fs::read_to_string(format!("/sys/fs/cgroup{cgroup}/{name}")).unwrap().trim_end().to_owned();
    let before = (file("pids.max"), file("memory.high"));
    let [nicer, stopped, more, alone] = [Target::idle(), Target::idle(), Target::idle(), Target::idle()];
    let mut sooner = Command::new("sleep").arg("300").uid(12_345).gid(12_345).spawn().unwrap();
    let adj = || fs::read_to_string(format!("/proc/{}/oom_score_adj", sooner.id())).unwrap();

    act("lower_process_priority", json!({ "pid": nicer.pid(), "priority": 5 }));
    assert!(nicer.nice().iter().all(|nice| *nice == 5));
    act("pause_process", json!({ "pid": stopped.pid() }));
    stopped.comes_to_stand();
    act("raise_oom_score_adj", json!({ "pid": sooner.id(), "value": 500 }));
    assert_eq!(adj(), "500\n");
    let limit = run(&format!("prlimit --nofile --noheadings --output SOFT --pid {}", more.pid()));
    let limit: u64 = limit.trim().parse().unwrap();
    act("raise_nofile_limit", json!({ "pid": more.pid(), "files": limit + 64 }));
    act("limit_cgroup_pids", json!({ "cgroup": cgroup, "tasks": 50 }));
    assert_eq!(file("pids.max"), "50");
    let frozen = || fs::read_to_string("/sys/fs/cgroup/system.slice/still.service/cgroup.freeze").unwrap();
    act("freeze_cgroup", json!({ "cgroup": "/system.slice/still.service" }));
    assert_eq!(frozen(), "1\n");
    let swappiness = sysctl("vm/swappiness");
    act("reduce_swappiness", json!({ "value": 1 }));
    assert_eq!(sysctl("vm/swappiness"), "1");
    act("increase_rmem_max", json!({ "value": 4_194_304 }));
    act("flush_buffers", json!({}));
    // Of a unit's process the unit is limited; of one that somebody put beside all units, it alone.
    let byhand = Path::new("/sys/fs/cgroup/byhand");
    let confine = || json!({ "pid": alone.pid(), "memory_mb": 256 });
    let refused = order(Path::new(SOCKET), "confine_process", confine()).unwrap_err();
    assert!(refused.contains(".service's, whose manager would lose track of the process"), "{refused}");
    fs::create_dir(byhand).unwrap();
    fs::write(byhand.join("cgroup.procs"), alone.pid().to_string()).unwrap();
    act("confine_process", confine());
    let own = format!("/kernelsight/p{}-{}", alone.pid(), alone.start_ticks());
    assert_eq!(cgroups(alone.pid()), format!("0::{own}\n"));
    assert_eq!(fs::read_to_string(format!("/sys/fs/cgroup{own}/memory.high")).unwrap(), "268435456\n");
    act("truncate_file", json!({ "path": "/srv/listed/huge.log" }));
    assert_eq!(fs::metadata("/srv/listed/huge.log").unwrap().len(), 0);
    run("ip link add ks0 type dummy");
    run("tc qdisc add dev ks0 root pfifo limit 5");
    let discipline = run("tc qdisc show dev ks0");
    act("reset_qdisc", json!({ "interface": "ks0" }));
    assert!(!run("tc qdisc show dev ks0").contains("limit 5"));
    for (name, params) in [
        ("list_top_memory", json!({ "count": 3 })),
        ("list_descriptors", json!({ "pid": nicer.pid() })),
        ("list_descriptors", json!({ "pid": sooner.id() })),
        ("list_cgroup_limits", json!({ "cgroup": cgroup })),
        ("list_mounts", json!({})),
    ] {
        assert!(act(name, params).output.lines().count() > 1, "{name}");
    }

    let said = run("kernelsight undo --all");
    assert!(nicer.nice().iter().all(|nice| *nice == 0), "{said}");
    stopped.comes_to_run();
    assert_eq!((file("pids.max"), file("memory.high")), before, "{said}");
    assert_eq!(sysctl("vm/swappiness"), swappiness, "{said}");
    assert_eq!(adj(), "0\n", "{said}");
    assert_eq!(frozen(), "0\n", "{said}");
    assert_eq!(run("tc qdisc show dev ks0"), discipline, "{said}");
    assert_eq!(
        (cgroups(alone.pid()).as_str(), Path::new("/sys/fs/cgroup/kernelsight").exists()),
        ("0::/byhand\n", false)
    );
    assert!(run("kernelsight audit verify").starts_with("The journal is as it was written"));
    run("ip link del ks0");
    sooner.kill().unwrap();
    sooner.wait().unwrap();
}

#[test]
fn a_listed_service_is_restarted_and_with_it_nothing_that_is_not_listed() {
    if !is_the_guest() {
        return;
    }
    // Each way in which systemd would restart another one with it.
    let ties = ["Requires", "Requisite", "BindsTo", "PartOf"].map(|tie| (tie.to_lowercase(), tie));
    let unit = |name: &str, needs: &str| {
        let text = format!("[Unit]\n{needs}[Service]\nExecStart=sleep infinity\n");
        fs::write(format!("/etc/systemd/system/{name}.service"), text).unwrap();
    };
    unit("app", "");
    unit("bystander", "");
    for (name, tie) in &ties {
        unit(name, &format!("{tie}=app.service\nAfter=app.service\n"));
    }
    run("systemctl daemon-reload");
    start();
    run("systemctl start app bystander");
    let runs = |unit: &str| run(&format!("systemctl show --property=MainPID --property=InvocationID {unit}"));
    let before = (runs("app"), runs("bystander"));
    let outcome = act("restart_unit", json!({ "unit": "app.service" }));
    assert_eq!(
        (outcome.output.trim_end(), outcome.change.as_str()),
        ("app.service runs anew", "app.service active -> restarted")
    );
    assert_ne!(runs("app"), before.0);
    assert_eq!(runs("bystander"), before.1);

    std::thread::sleep(Duration::from_millis(2500));
    let refused = |unit: &str| order(Path::new(SOCKET), "restart_unit", json!({ "unit": unit })).unwrap_err();
    for (name, tie) in &ties {
        run(&format!("systemctl start {name}"));
        let before = (runs("app"), runs(name));
        let why = refused("app.service");
        assert!(why.contains(&format!("systemd would restart {name}.service with app.service")), "{tie}: {why}");
        let seen = run("kernelsight actions freeze_cgroup cgroup=/system.slice/app.service --dry-run");
        let told = |line: &str| line.contains("depend on") && line.contains(&format!("{name}.service"));
        assert!(seen.lines().any(told), "{tie}: {seen}");
        assert_eq!((runs("app"), runs(name)), before, "{tie}");
        // And it would.
        run("systemctl restart app");
        until(|| runs(name) != before.1);
        run(&format!("systemctl stop {name}"));
    }
    let before = runs("app");
    let why = refused("bystander.service");
    assert!(why.contains("is not listed under [restart]"), "{why}");
    let why = refused("missing.service");
    assert!(why.contains("no unit missing.service loaded"), "{why}");
    assert_eq!(runs("app"), before);
    run("systemctl stop app bystander");
}

#[test]
fn a_limit_of_a_unit_is_set_by_systemd_and_leaves_nothing_behind() {
    if !is_the_guest() {
        return;
    }
    start();
    let limited = [
        ("high", "MemoryHigh=64M", "limit_cgroup_memory", json!({ "bytes": 32 << 20 }), "memory.high", "33554432"),
        ("quota", "CPUQuota=50%", "limit_cgroup_cpu", json!({ "percent": 20 }), "cpu.max", "20000 100000"),
        ("tasks", "TasksMax=100", "limit_cgroup_pids", json!({ "tasks": 50 }), "pids.max", "50"),
    ];
    let file = |unit: &str, file: &str| {
        let path = format!("/sys/fs/cgroup/system.slice/{unit}.service/{file}");
        fs::read_to_string(path).unwrap().trim_end().to_owned()
    };
    let remembered = |unit: &str| {
        let kept = fs::read_dir(format!("/run/systemd/system.control/{unit}.service.d"));
        kept.map_or_else(|_| Vec::new(), |kept| kept.map(|entry| entry.unwrap().file_name()).collect())
    };
    let mut before = Vec::new();
    for (unit, setting, ..) in &limited {
        let text = format!("[Service]\nExecStart=sleep infinity\n{setting}\n");
        fs::write(format!("/etc/systemd/system/{unit}.service"), text).unwrap();
    }
    run("systemctl daemon-reload");
    for (unit, _, action, params, name, wrote) in &limited {
        run(&format!("systemctl start {unit}"));
        before.push(file(unit, name));
        let mut params = params.clone();
        params["cgroup"] = json!(format!("/system.slice/{unit}.service"));
        let outcome = act(action, params);
        assert!(outcome.command.starts_with("set_property "), "{}", outcome.command);
        assert_eq!(file(unit, name), *wrote, "{outcome:?}");
        assert_eq!(remembered(unit).len(), 1, "{unit}");
    }
    // Whatever systemd does, it is the limit that systemd knows.
    run("systemctl daemon-reload");
    run("systemctl restart high");
    run("systemd-run --property=CPUWeight=50 --property=IOWeight=50 --quiet sleep 300");
    for (unit, _, _, _, name, wrote) in &limited {
        assert_eq!(file(unit, name), *wrote, "{unit}");
    }
    let said = run("kernelsight undo --all");
    for ((unit, _, _, _, name, _), before) in limited.iter().zip(&before) {
        assert_eq!(file(unit, name), *before, "{said}");
        assert_eq!(remembered(unit), [""; 0], "{said}");
    }

    // What an operator set until the next boot stays his.
    run("systemctl set-property --runtime tasks MemoryHigh=96M");
    let outcome = act("limit_cgroup_memory", json!({ "cgroup": "/system.slice/tasks.service", "bytes": 32 << 20 }));
    assert!(outcome.command.starts_with("cgset -r memory.high="), "{}", outcome.command);
    assert_eq!(file("tasks", "memory.high"), "33554432");
    let said = run("kernelsight undo --all");
    assert_eq!(file("tasks", "memory.high"), (96 << 20).to_string(), "{said}");
    assert_eq!(remembered("tasks"), ["50-MemoryHigh.conf"], "{said}");
    run("systemctl stop high quota tasks");
}

#[test]
fn a_frozen_filesystem_is_thawed() {
    if !is_the_guest() {
        return;
    }
    start();
    run("truncate --size 64M /root/image");
    run("mkfs.ext4 -q /root/image");
    fs::create_dir_all("/srv/frozen").unwrap();
    run("mount -o loop /root/image /srv/frozen");
    run("fsfreeze --freeze /srv/frozen");
    let writer = std::thread::spawn(|| fs::write("/srv/frozen/file", "x").unwrap());
    std::thread::sleep(Duration::from_millis(300));
    assert!(!writer.is_finished(), "it is frozen");
    act("thaw_filesystem", json!({ "path": "/srv/frozen" }));
    writer.join().unwrap();
    run("umount /srv/frozen");
}

#[test]
fn who_watches_has_no_power_over_anybody() {
    if !is_the_guest() {
        return;
    }
    start();
    let pid = run("systemctl show --property=MainPID --value kernelsight");
    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap();
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    // Bits 38 and 39: CAP_PERFMON and CAP_BPF.
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(line(set), format!("{:016x}", 0b11_u64 << 38), "{set}");
    }
    assert!(!line("Uid:").starts_with("0\t"));
    assert_eq!((line("NoNewPrivs:").as_str(), line("Seccomp:").as_str()), ("1", "2"));
}
