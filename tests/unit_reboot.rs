//! A reboot, in the guest with systemd: this runs before it and after it, on one disk.

use std::fs;

use kernelsight::execute::boot_id;
use serde_json::{Value, json};

use crate::{
    execute_support::{Target, sysctl, until},
    unit_guest::{act, ask, comes_up, is_the_guest, property, run, start},
};

/// What the boot before left, for the one after.
const LEFT: &str = "/root/left.json";

#[test]
fn after_a_reboot_it_starts_by_itself_and_knows_what_went_with_the_last_boot() {
    if !is_the_guest() {
        return;
    }
    match fs::read(LEFT) {
        Err(_) => leave(),
        Ok(left) => find(&serde_json::from_slice(&left).unwrap()),
    }
}

/// An incident with its trace, and two actions that stay until somebody takes them back.
fn leave() {
    start();
    run("kernelsight autonomy advisor");
    {
        let _hogs = [Target::spinning(), Target::spinning(), Target::spinning()];
        until(|| !traces().is_empty());
    }
    run("kernelsight autonomy agent");
    let (before, target) = (sysctl("vm/swappiness"), Target::idle());
    let sysctl_action = act("reduce_swappiness", json!({ "value": 1 })).action_id.unwrap();
    let renice_action = act("lower_process_priority", json!({ "pid": target.pid(), "priority": 5 })).action_id.unwrap();
    assert_eq!(sysctl("vm/swappiness"), "1");
    let left = json!({
        "boot": boot_id().unwrap(),
        "swappiness": before,
        "actions": [sysctl_action, renice_action],
        "incidents": incidents(),
        "traces": traces(),
    });
    fs::write(LEFT, left.to_string()).unwrap();
    run("sync");
}

fn find(left: &Value) {
    assert_ne!(left["boot"], json!(boot_id().unwrap()), "this is the next boot");
    // Nobody starts it: it is enabled.
    let status = comes_up();
    assert_eq!((property("NRestarts").as_str(), property("UnitFileState").as_str()), ("0", "enabled"));
    assert_eq!(status["autonomy"], "agent", "the level outlives the boot");
    assert_eq!(status["holds"], json!([]));
    let off: Vec<&Value> = status["parts"].as_array().unwrap().iter().filter(|part| part["state"] == "off").collect();
    assert!(off.is_empty(), "{off:?}");

    let all = ask("actions --most 500");
    let notes = status["notes"].to_string();
    for id in left["actions"].as_array().unwrap() {
        let row = all["actions"].as_array().unwrap().iter().find(|row| row["id"] == *id).unwrap();
        assert_eq!(row["state"], "void", "{row}");
        assert!(row["note"].as_str().unwrap().contains("the machine was started anew since"), "{row}");
        assert!(notes.contains(&format!("action {id} (")), "{notes}");
    }
    assert_eq!(json!(sysctl("vm/swappiness")), left["swappiness"], "the kernel began with its own value");
    let (incidents, traces) = (incidents(), traces());
    assert!(left["incidents"].as_array().unwrap().iter().all(|uid| incidents.contains(uid)), "{incidents:?}");
    assert!(left["traces"].as_array().unwrap().iter().all(|id| traces.contains(id)), "{traces:?}");
    let trace = ask(&format!("trace {}", left["traces"][0]));
    assert!(trace["steps"].as_array().is_some_and(|steps| !steps.is_empty()), "{trace}");
    assert!(run("kernelsight audit verify").starts_with("The journal is as it was written"));
    // And it acts.
    act("reduce_swappiness", json!({ "value": 1 }));
    assert_eq!(sysctl("vm/swappiness"), "1");
    run("kernelsight undo --all");
    assert_eq!(json!(sysctl("vm/swappiness")), left["swappiness"]);
}

fn incidents() -> Vec<Value> {
    ask("incidents --most 500")["incidents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|incident| incident["uid"].clone())
        .collect()
}

fn traces() -> Vec<Value> {
    ask("trace --most 500")["traces"].as_array().unwrap().iter().map(|trace| trace["trace_id"].clone()).collect()
}
