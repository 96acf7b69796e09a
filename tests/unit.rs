//! The units of systemd: what they leave open is what they say they do, and no more.

use std::{fs, path::PathBuf, process::Command};

use kernelsight::{
    execute::{Power, sysctl::SysctlKey},
    llm::PROVIDERS,
};

/// Exposure as `systemd-analyze security` reckons it, in tenths.
const THRESHOLD: &str = "15";

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../systemd").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// All that a unit says of this.
fn says(unit: &str, key: &str) -> Vec<String> {
    let values = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

fn services() -> Vec<String> {
    let actors = actors().map(|power| format!("kernelsight-act-{}@.service", power.unit()));
    ["kernelsight.service", "kernelsight-reason@.service"].map(str::to_owned).into_iter().chain(actors).collect()
}

fn actors() -> impl Iterator<Item = Power> {
    Power::ALL.into_iter().filter(|power| !power.is_harmless())
}

#[test]
fn no_unit_is_exposed_more_than_a_little() {
    for service in services() {
        let mut analyze = Command::new("systemd-analyze");
        analyze.args(["security", "--offline=true", "--no-pager", &format!("--threshold={THRESHOLD}")]);
        let Ok(judged) = analyze.arg(path(&service)).output() else {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "systemd-analyze is needed");
            eprintln!("skipped: no systemd-analyze to judge the units by");
            return;
        };
        assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
        let said = String::from_utf8_lossy(&judged.stderr);
        assert!(!said.contains("Unknown") && !said.contains("ignoring"), "{service}: {said}");
    }
}

#[test]
fn who_watches_can_touch_nothing_and_each_actor_has_the_power_that_it_is_named_for() {
    assert_eq!(says(&read("kernelsight.service"), "CapabilityBoundingSet"), ["CAP_BPF", "CAP_PERFMON"]);
    for power in actors() {
        let unit = read(&format!("kernelsight-act-{}@.service", power.unit()));
        let mut needed: Vec<String> = power.capability().into_iter().map(|cap| cap.to_string()).collect();
        // To become whose process it is; to open what an operator lists, whoever's it is; to make a cgroup at the root.
        needed.extend(match power {
            Power::ProcessFile | Power::TargetsUser | Power::ReadDescriptors => {
                vec!["CAP_SETUID".to_owned(), "CAP_SETGID".to_owned()]
            }
            Power::ListedFile | Power::OwnCgroup => vec!["CAP_DAC_OVERRIDE".to_owned()],
            _ => Vec::new(),
        });
        needed.sort_unstable();
        for set in ["CapabilityBoundingSet", "AmbientCapabilities"] {
            let mut given = says(&unit, set);
            given.sort_unstable();
            assert_eq!(given, needed, "{power:?}: {set}");
        }
        let user = says(&unit, "User");
        let root = [Power::CgroupFile, Power::OwnCgroup, Power::SysctlFile, Power::ServiceManager];
        let is_root = root.contains(&power);
        assert_eq!(user, [if is_root { "root" } else { "kernelsight-act" }], "{power:?}");
        assert_eq!(is_root, says(&unit, "SecureBits") == ["noroot", "noroot-locked"], "{power:?}");
        assert_eq!(says(&unit, "ExecStart"), ["/usr/bin/kernelsight", "actor", power.unit()]);
        // Who changes interfaces does so where they are, and speaks to nobody but the kernel.
        let (families, apart) = match power {
            Power::NetAdmin => ("AF_NETLINK", vec![]),
            // Systemd's own socket.
            Power::ServiceManager => ("AF_UNIX", vec!["yes"]),
            // Its sysctls are the node's.
            Power::SysctlFile => ("none", vec![]),
            _ => ("none", vec!["yes"]),
        };
        assert_eq!(says(&unit, "RestrictAddressFamilies"), [families], "{power:?}");
        assert_eq!(says(&unit, "PrivateNetwork"), apart, "{power:?}");
    }
}

#[test]
fn the_daemon_waits_for_the_socket_of_each_actor() {
    let daemon = read("kernelsight.service");
    let of_actors = actors().map(|power| format!("kernelsight-act-{}.socket", power.unit()));
    let sockets: Vec<String> = of_actors.chain(["kernelsight-reason.socket".to_owned()]).collect();
    for key in ["Wants", "After"] {
        let mut named = says(&daemon, key);
        named.retain(|unit| unit.ends_with(".socket"));
        let mut expected = sockets.clone();
        named.sort_unstable();
        expected.sort_unstable();
        assert_eq!(named, expected, "{key}");
    }
    let directory = says(&daemon, "ExecStart").pop().unwrap();
    for power in actors() {
        let socket = read(&format!("kernelsight-act-{}.socket", power.unit()));
        assert_eq!(says(&socket, "ListenStream"), [format!("{directory}/{}", power.unit())]);
    }
    let common = read("kernelsight-act-.socket.d/common.conf");
    assert_eq!(says(&common, "SocketUser"), says(&daemon, "User"));
    assert_eq!(says(&common, "SocketMode"), ["0600"]);
}

#[test]
fn who_thinks_has_no_power_and_is_asked_by_the_daemon_alone() {
    let unit = read("kernelsight-reason@.service");
    assert!(unit.contains("\nCapabilityBoundingSet=\n"));
    assert_eq!(says(&unit, "AmbientCapabilities"), Vec::<String>::new());
    assert_eq!(says(&unit, "DynamicUser"), ["yes"]);
    assert_eq!(says(&unit, "LimitCORE"), ["0"]);
    let socket = read("kernelsight-reason.socket");
    let daemon = read("kernelsight.service");
    assert_eq!(says(&socket, "SocketUser"), says(&daemon, "User"));
    assert_eq!(says(&socket, "SocketMode"), ["0600"]);
    let run = says(&daemon, "ExecStart");
    let at = run.iter().position(|word| word == "--reasoner").unwrap();
    assert_eq!(says(&socket, "ListenStream"), [run[at + 1].clone()]);
}

#[test]
fn who_thinks_is_given_the_key_of_each_provider_and_starts_without() {
    let unit = read("kernelsight-reason@.service");
    let names = PROVIDERS.map(|provider| format!("model-{provider}.key"));
    let names: Vec<String> = [vec!["model.key".to_owned()], names.to_vec()].concat();
    let loaded: Vec<String> = names.iter().map(|name| format!("{name}:/etc/kernelsight/{name}")).collect();
    let without: Vec<String> = names.iter().map(|name| format!("{name}:-")).collect();
    assert_eq!((says(&unit, "LoadCredential"), says(&unit, "SetCredential")), (loaded, without));
}

#[test]
fn the_units_say_of_each_protection_that_is_off_why() {
    for (unit, all_off) in [
        (
            "kernelsight.service",
            &["PrivateNetwork", "PrivateUsers", "ProtectProc", "ProcSubset", "RootDirectory"] as &[&str],
        ),
        ("kernelsight-reason@.service", &["PrivateNetwork", "IPAddressDeny", "RootDirectory"]),
        ("kernelsight-act-.service.d/common.conf", &["PrivateUsers", "ProtectProc", "ProcSubset", "RootDirectory"]),
    ] {
        let unit = read(unit);
        for off in all_off {
            assert!(unit.lines().any(|line| line.starts_with(&format!("#   {off} "))), "no reason for {off}");
            assert!(!unit.lines().any(|line| line.starts_with(&format!("{off}="))), "{off} is on");
        }
    }
}

#[test]
fn actors_may_write_just_the_sysctls_that_actions_set_and_control_groups() {
    let mut writable: Vec<String> = says(&read("kernelsight-act-sysctl-file@.service"), "ReadWritePaths");
    for path in &mut writable {
        *path = path.trim_start_matches('-').to_owned();
    }
    writable.sort_unstable();
    let mut set: Vec<String> =
        SysctlKey::ALL.iter().map(|key| format!("/proc/sys/{}", key.name().replace('.', "/"))).collect();
    set.sort_unstable();
    assert_eq!(writable, set);
    for service in services().iter().filter(|service| !service.contains("sysctl")) {
        let expected: &[&str] = match () {
            () if service.contains("cgroup") => &["/sys/fs/cgroup"],
            () if service.contains("service-manager") => &["-/run/systemd/system.control"],
            () => &[],
        };
        assert_eq!(says(&read(service), "ReadWritePaths"), expected, "{service}");
    }
}
