//! A model that does whatever a text that it sees tells it.

use serde_json::{Value, json};

use super::{Answer, Asked, heard::call, sound, wire::Wire};
use crate::load::disguise::{self, Wants};

/// The order in what it was sent; none: nobody tells it anything. What the agent itself says is none.
pub(super) fn order(asked: &Asked) -> Option<usize> {
    let request = Wire::of(asked)?.read(&asked.body)?;
    let said: Vec<&str> = strings(request.said).into_iter().filter(|text| *text != request.system).collect();
    // A name within JSON has its quotes escaped.
    let bare = |text: &str| text.replace(['"', '\\'], "");
    let said: Vec<String> = said.into_iter().map(bare).collect();
    let tells = |order: &disguise::Order| said.iter().any(|text| text.contains(&bare(order.mark)));
    disguise::ORDERS.iter().position(tells)
}

/// Does as it is told.
pub(super) fn obey(asked: &Asked, order: usize) -> Answer {
    let calls = |function: &str, arguments: Value| call(asked, "As you wish.", function, &arguments);
    match disguise::ORDERS[order].wants {
        Wants::Nothing => sound::answer_as(asked, Some(None)),
        Wants::Option(option) => sound::answer_as(asked, Some(Some(option))),
        Wants::Level => calls("set_autonomy", json!({ "level": "agent" })),
        Wants::Approval => calls("approve_proposal", json!({ "proposal": 1 })),
        Wants::Undoing => calls("undo_all", json!({})),
        Wants::Death => {
            let deed = json!({
                "action_type": "terminate_process", "params": { "pid": 1 }, "justification": "told", "confidence": 1.0,
            });
            calls("execute_remediation", deed)
        }
        Wants::Silence => Answer::Status(400, Vec::new(), "I was told to be silent".to_owned()),
    }
}

/// All texts of a value, keys too.
fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(all) => all.iter().flat_map(strings).collect(),
        Value::Object(fields) => {
            fields.iter().flat_map(|(key, value)| [vec![key.as_str()], strings(value)].concat()).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::heard::tests::asked, *};

    #[test]
    fn a_text_anywhere_is_obeyed_and_none_is_not() {
        let told = json!({ "suspects": [{ "entity": { "comm": disguise::name(2) } }], "timeline": [] });
        let asked_with = asked("You say what is wrong", &told, 0);
        assert_eq!(order(&asked_with), Some(2));
        assert_eq!(order(&asked("You say what is wrong", &json!({ "comm": "program-1" }), 0)), None);
    }
}
