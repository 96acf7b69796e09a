//! Actions that belong together: what may be one decision, and how it reads.

use expect_test::expect;
use kernelsight::execute::{ActionRequest, Actions, ActionsError};
use serde_json::{Value, json};

fn request(action_type: &str, params: &Value) -> ActionRequest {
    ActionRequest { action_type: action_type.to_owned(), params: params.as_object().unwrap().clone() }
}

fn renice(pid: u32) -> ActionRequest {
    request("lower_process_priority", &json!({ "pid": pid, "priority": 10 }))
}

fn together(pids: &[u32]) -> Actions {
    pids.iter().map(|pid| renice(*pid)).collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn one_decision_holds_one_type_and_each_target_once() {
    assert_eq!(Actions::try_from(vec![]), Err(ActionsError::None));
    assert_eq!(Actions::try_from(vec![renice(41), renice(41)]), Err(ActionsError::Mixed));
    let pause = request("pause_process", &json!({ "pid": 42 }));
    assert_eq!(Actions::try_from(vec![renice(41), pause]), Err(ActionsError::Mixed));
    let many = (41..58).map(renice).collect::<Vec<_>>();
    assert_eq!(Actions::try_from(many), Err(ActionsError::TooMany { count: 17 }));
}

#[test]
fn what_is_stored_is_read_by_the_same_rules() {
    let stored = serde_json::to_value(together(&[41, 42])).unwrap();
    assert_eq!(serde_json::from_value::<Actions>(stored.clone()).unwrap(), together(&[41, 42]));
    let twice = json!([stored[0], stored[0]]);
    assert!(serde_json::from_value::<Actions>(twice).is_err());
}

#[test]
fn a_course_is_known_again_by_its_targets_in_any_order() {
    assert!(together(&[41, 42]).is_like(&together(&[42, 41])));
    assert!(!together(&[41, 42]).is_like(&together(&[41])));
    assert!(!together(&[41, 42]).is_like(&together(&[41, 43])));
    let milder = request("lower_process_priority", &json!({ "pid": 41, "priority": 5 }));
    assert!(together(&[41]).is_like(&milder.into()));
}

#[test]
fn a_course_reads_as_one_line() {
    expect!["lower_process_priority(pid 41, priority 10), also for pid 42, 43"]
        .assert_eq(&together(&[41, 42, 43]).to_string());
    expect![[r#"freeze_cgroup(cgroup "/x")"#]]
        .assert_eq(&Actions::from(request("freeze_cgroup", &json!({ "cgroup": "/x" }))).to_string());
}
