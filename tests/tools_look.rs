//! The tools that look at what is there now, on a node made of values.

use expect_test::expect;
use kernelsight::{
    observe::{Entity, SignalType},
    tools::Role,
};
use serde_json::{Value, json};

use crate::{
    cli::kernelsight,
    door_support::House,
    scene::{Actor, Group, Scene, actor, group},
};

/// A leak in a cgroup with a limit, its child, and a spinner beside it.
fn house() -> House {
    let actors = [
        actor(1, "init"),
        Actor { cgroup: "/web.service", rss_mib: 100.0, grows_mib: 20.0, ..actor(40, "leaky") },
        Actor { cgroup: "/web.service", parent: 40, cpu: 10.0, ..actor(41, "worker") },
        Actor { cgroup: "/batch.service", cpu: 90.0, ..actor(50, "spinner") },
    ];
    let groups = [
        group("/"),
        Group { limit_mib: Some(512), ..group("/web.service") },
        group("/web.service/inner"),
        group("/batch.service"),
    ];
    let scene = Scene::changed(12, &actors, &groups, |sample, second| {
        // A quota is set in the sixth second, and a cgroup and a process are gone in the ninth.
        let quota = (second >= 6).then_some(50.0);
        for cgroup in sample.cgroups.iter_mut().filter(|cgroup| cgroup.path.as_str() == "/batch.service") {
            cgroup.cpu.as_mut().unwrap().quota_percent = quota;
        }
        if second >= 9 {
            sample.cgroups.retain(|cgroup| cgroup.path.as_str() != "/web.service/inner");
        }
        if second < 4 {
            sample.processes.retain(|process| process.id.pid != 50);
        }
    });
    let leaky = scene.process(40);
    let signal = scene.signal(7, SignalType::MemoryPressure, "growth_bytes_per_s", leaky.clone(), 2e7);
    let of_cgroup =
        scene.signal(8, SignalType::MemoryPressure, "cgroup_anonymous_percent", cgroup("/web.service"), 60.0);
    let house = House::open(Role::Viewer);
    let mut live = house.daemon.change();
    live.status.now_ms = scene.now_ms;
    live.window = scene.window;
    live.history = scene.history;
    live.signals = vec![signal, of_cgroup];
    drop(live);
    house
}

fn cgroup(path: &str) -> Entity {
    Entity::Cgroup { path: path.into() }
}

fn number(of: &Value, name: &str) -> f64 {
    let numbers = of["numbers"].as_array().unwrap();
    numbers.iter().find(|pair| pair[0] == name).unwrap_or_else(|| panic!("no {name} in {of}"))[1].as_f64().unwrap()
}

#[test]
fn who_takes_most_comes_first_and_all_of_it_is_summed() {
    let house = house();
    let top = house.call("top_processes", json!({ "by": "cpu" })).unwrap();
    let names: Vec<&str> =
        top["processes"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["spinner", "worker"]);
    assert_eq!((&top["count"], top["all"].as_f64().unwrap().round()), (&json!(4), 100.0));
    assert_eq!(top["processes"][0]["unit"], "batch.service");
    let top = house.call("top_processes", json!({ "by": "memory_growth", "most": 1 })).unwrap();
    assert_eq!(top["processes"][0]["name"], "leaky");
    assert_eq!(top["processes"].as_array().unwrap().len(), 1);
    assert!(house.call("top_processes", json!({ "by": "fame" })).unwrap_err().contains("`by` is \"fame\""));
    assert!(house.call("top_processes", json!({ "by": "cpu", "most": 51 })).unwrap_err().contains("from 1 to 50"));
}

#[test]
fn a_process_is_told_with_its_kin_its_cgroup_and_the_limit_it_would_meet() {
    let house = house();
    let told = house.call("describe_process", json!({ "pid": 41 })).unwrap();
    assert_eq!(
        told["ancestors"].as_array().unwrap().iter().map(|kin| &kin["name"]).collect::<Vec<_>>(),
        ["leaky", "init"]
    );
    assert_eq!(told["limit"]["cgroup"], "/web.service");
    assert_eq!(told["limit"]["limit_bytes"], 512 << 20);
    assert_eq!(number(&told["process"], "cpu_percent").round(), 10.0);
    assert_eq!(told["signals"], json!([]));
    let told = house.call("describe_process", json!({ "pid": 40 })).unwrap();
    assert_eq!(told["children"][0]["name"], "worker");
    assert_eq!(told["signals"][0]["signal"], 7);
    // A process of that pid runs here, or does not; it is not the one of the scene.
    assert_eq!(told["arguments"], Value::Null);
    let other = house.call("describe_process", json!({ "pid": 40, "start_ticks": 3 })).unwrap_err();
    expect!["process 40 started at 3 is not there; it may have ended; see top_processes for those that run"]
        .assert_eq(&other);
    assert!(house.call("describe_process", json!({ "pid": 0 })).unwrap_err().contains("from 1 to 4194304"));
}

#[test]
fn a_cgroup_is_told_with_all_who_live_below_it() {
    let house = house();
    let told = house.call("describe_cgroup", json!({ "cgroup": "/web.service" })).unwrap();
    let names: Vec<&Value> = told["processes"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["worker", "leaky"]);
    assert_eq!((&told["processes_in_all"], &told["children"]), (&json!(2), &json!([])));
    let signals: Vec<&Value> = told["signals"].as_array().unwrap().iter().map(|one| &one["signal"]).collect();
    assert_eq!(signals, [7, 8]);
    let root = house.call("describe_cgroup", json!({ "cgroup": "/" })).unwrap();
    assert_eq!(root["processes_in_all"], 4);
    assert_eq!(root["children"], json!(["/web.service", "/batch.service"]));
    let none = house.call("describe_cgroup", json!({ "cgroup": "/web" })).unwrap_err();
    assert!(none.contains("cgroup /web is not there"), "{none}");
}

#[test]
fn pressure_is_told_of_the_node_and_of_who_stands_still() {
    let house = house();
    let told = house.call("get_pressure", json!({})).unwrap();
    assert_eq!(told["node"]["cpu"]["some_10s_percent"], 66.0);
    assert_eq!(told["cgroups"], json!([]));
}

#[test]
fn what_changed_before_is_told_with_what_it_was_before() {
    let house = house();
    let now = house.daemon.look().status.now_ms;
    let live = house.daemon.look();
    let changes = live.window.changes();
    let settings: Vec<String> = changes
        .settings(now - 12_000, now)
        .map(|setting| {
            let second = (setting.at_ms - now) / 1000 + 12;
            let of = setting.of.as_ref().map_or_else(|| "node".to_owned(), ToString::to_string);
            format!("{second} {} of {of}: {} -> {}", setting.what, setting.before, setting.after)
        })
        .collect();
    assert_eq!(
        settings,
        [
            "6 CPU quota of cgroup /batch.service: none -> 50.0 % of a CPU",
            "9 cgroup of cgroup /web.service/inner: there -> not there"
        ]
    );
    assert_eq!(changes.settings(now - 5_000, now).count(), 1);
    let processes = changes.comings_and_goings(now - 12_000, now);
    let told: Vec<_> = processes
        .iter()
        .map(|row| (row.name.as_ref().unwrap().as_str(), row.started, row.ended, row.last_pid))
        .collect();
    assert_eq!(told, [("spinner", 1, 0, 50)]);
}

#[test]
fn a_claim_is_true_false_or_not_to_be_known() {
    let house = house();
    let verdict = |claim: Value| {
        let answer = house.call("verify_claim", json!({ "claim": claim })).unwrap();
        (answer["verdict"].as_str().unwrap().to_owned(), answer["found"].as_str().unwrap().to_owned())
    };
    let says =
        |claim, expected: (&str, &str)| assert_eq!(verdict(claim), (expected.0.to_owned(), expected.1.to_owned()));
    says(json!({ "kind": "process_runs", "pid": 40, "name": "leaky" }), ("true", "process 40 is leaky"));
    says(json!({ "kind": "process_runs", "pid": 40, "name": "postgres" }), ("false", "process 40 is called leaky"));
    says(json!({ "kind": "process_runs", "pid": 4000 }), ("false", "no process 4000 runs"));
    let rss = json!({ "kind": "process_number", "pid": 40, "number": "rss_bytes", "at_least": 3e8 });
    says(rss, ("true", "rss_bytes of process 40 is 356515840"));
    let rss = json!({ "kind": "process_number", "pid": 40, "number": "rss_bytes", "at_most": 1e8 });
    says(rss, ("false", "rss_bytes of process 40 is 356515840"));
    let fame = verdict(json!({ "kind": "process_number", "pid": 40, "number": "fame", "at_most": 1 }));
    assert!(fame.0 == "unknown" && fame.1.starts_with("process 40 has no number fame; it has cpu_percent"), "{fame:?}");
    let limit = json!({ "kind": "cgroup_number", "cgroup": "/web.service", "number": "cgroup_limit_bytes", "at_least": 536_870_912, "at_most": 536_870_912 });
    says(limit, ("true", "cgroup_limit_bytes of cgroup /web.service is 536870912"));
    says(
        json!({ "kind": "node_number", "number": "online_cpus", "at_most": 1 }),
        ("false", "online_cpus of the node is 2"),
    );
    assert_eq!(verdict(json!({ "kind": "signal_is_open", "signal_type": "memory_pressure", "pid": 40 })).0, "true");
    assert_eq!(verdict(json!({ "kind": "signal_is_open", "signal_type": "memory_pressure", "pid": 50 })).0, "false");
    assert_eq!(verdict(json!({ "kind": "signal_came_before", "earlier": 7, "later": 8 })).0, "true");
    assert_eq!(verdict(json!({ "kind": "signal_came_before", "earlier": 7, "later": 99 })).0, "unknown");
    let boundless = house.call("verify_claim", json!({ "claim": { "kind": "node_number", "number": "load_one" } }));
    assert!(boundless.unwrap_err().contains("needs `at_least` or `at_most`"));
    let unknown = house.call("verify_claim", json!({ "claim": { "kind": "moon_is_full" } })).unwrap_err();
    assert!(unknown.contains("unknown variant `moon_is_full`"), "{unknown}");
}

/// What the program prints.
fn prints(house: &House, arguments: &[&str]) -> String {
    let said = kernelsight(&house.socket, arguments);
    let text = String::from_utf8(if said.status.success() { said.stdout } else { said.stderr }).unwrap();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_same_tools_are_verbs() {
    let house = house();
    expect![[r#"
        CPU_PERCENT  PID  NAME     CPU   MEMORY  I/O    UNIT OR CGROUP
        90 %         50   spinner  90 %  4 MiB   0 B/s  batch.service
        10 %         41   worker   10 %  4 MiB   0 B/s  web.service

        All 4 processes together: 100 %."#]]
    .assert_eq(&prints(&house, &["top"]));
    expect![[r#"
        RSS_BYTES  PID  NAME   CPU  MEMORY   I/O    UNIT OR CGROUP
        340 MiB    40   leaky  0 %  340 MiB  0 B/s  web.service
        4 MiB      1    init   0 %  4 MiB    0 B/s  /

        All 4 processes together: 352 MiB."#]]
    .assert_eq(&prints(&house, &["top", "memory", "--most", "2"]));
    let pressure = prints(&house, &["call", "get_pressure", "most=3"]);
    assert_eq!(serde_json::from_str::<Value>(&pressure).unwrap()["node"]["cpu"]["some_10s_percent"], 66.0);
    let claim = "claim={\"kind\":\"process_runs\",\"pid\":40}";
    let verdict = prints(&house, &["call", "verify_claim", claim, "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&verdict).unwrap()["verdict"], "true");
    assert_eq!(
        prints(&house, &["call", "describe_process", "pid=one"]),
        "kernelsight: describe_process: `pid` is \"one\": invalid type: string \"one\", expected i64; it takes pid (integer 1 to 4194304), start_ticks (integer 0 to 9223372036854775807, optional)"
    );
    let tools = prints(&house, &["tools"]);
    assert!(tools.contains("verify_claim") && !tools.contains("undo_all"), "{tools}");
}

#[test]
fn before_the_first_tick_nothing_is_made_up() {
    let house = House::open(Role::Viewer);
    for (tool, params) in [
        ("top_processes", json!({ "by": "cpu" })),
        ("describe_process", json!({ "pid": 1 })),
        ("describe_cgroup", json!({ "cgroup": "/" })),
        ("get_pressure", json!({})),
    ] {
        assert!(house.call(tool, params).unwrap_err().contains("has seen nothing yet"), "{tool}");
    }
}
