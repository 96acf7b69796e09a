//! `cpu_quota`: a cgroup waits for its own quota. The quota is the finding, whatever the CPUs do.

use super::{
    Rule,
    evidence::{Evidence, Finding, signal},
    raise,
    remedy::Remedies,
};
use crate::{decide::FailureMode, explain::Explanation, observe::SignalType};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::CpuQuota, hypothesise, remedies };

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    let throttled = signal(explanation, SignalType::Scheduler, &["throttled"])?;
    let quota = throttled.numbers.get("quota_percent");
    let busy = explanation.node.cpu_busy_percent;
    Some(
        Evidence::from(0.7)
            .weigh(quota.map(|_| true), 0.4, format!("its quota is {:.0} % of one CPU", quota.unwrap_or(0.0)))
            .weigh(busy.map(|busy| busy < 80.0), 0.2, format!("the CPUs are {:.0} % busy", busy.unwrap_or(0.0)))
            .says(format!("{} is stopped by its own CPU quota", throttled.entity)),
    )
}

fn remedies(explanation: &Explanation) -> Remedies {
    let throttled = signal(explanation, SignalType::Scheduler, &["throttled"]).unwrap_or(&explanation.primary);
    let quota = throttled.numbers.get("quota_percent").map_or_else(String::new, |q| format!(" of {q:.0} % of one CPU"));
    Remedies {
        ladder: raise::cpu_quota(explanation, throttled).into_iter().collect(),
        advice: format!(
            "The quota{quota} of {} stopped it in {:.0} % of its periods. Raise the quota if it should run faster.",
            throttled.entity, throttled.value
        ),
        ..Remedies::default()
    }
}
