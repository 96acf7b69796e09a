//! `port_exhaustion`: connects find no free local port. The range is widened, or ports in TIME-WAIT are used again.

use super::{
    Rule,
    evidence::{Evidence, Finding, signal},
    raise,
    remedy::Remedies,
};
use crate::{decide::FailureMode, explain::Explanation, observe::SignalType};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::PortExhaustion, hypothesise, remedies };

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    let failing = signal(explanation, SignalType::TcpExhaustion, &["no_address"]);
    let short = failing.or_else(|| signal(explanation, SignalType::TcpExhaustion, &["time_wait"]))?;
    let ports = short.numbers.get("local_ports");
    Some(
        Evidence::from(0.6)
            .weigh(failing.map(|_| true), 0.5, format!("{} is {:.0}", short.measure, short.value))
            .weigh(
                failing.and(ports).map(|ports| ports < 4096.0),
                0.2,
                format!("the range has {:.0} local ports", ports.unwrap_or(0.0)),
            )
            .says(short.sentence.clone()),
    )
}

fn remedies(explanation: &Explanation) -> Remedies {
    let Some(failing) = signal(explanation, SignalType::TcpExhaustion, &["no_address"]) else {
        return Remedies {
            advice: format!(
                "{}. That harms nobody while connects find a port; to many destinations each port serves again.",
                explanation.primary.sentence
            ),
            ..Remedies::default()
        };
    };
    let who = explanation.culprit().map_or_else(|| failing.entity.to_string(), |culprit| culprit.entity.to_string());
    // What is set for the node reaches no other namespace.
    let network = failing.numbers.get("network_namespace");
    let place =
        network.map_or_else(String::new, |inode| format!(" in its network namespace {inode:.0}, not the node's,"));
    Remedies {
        ladder: raise::ports(failing),
        advice: format!(
            "{who} finds no free local port: widen net.ipv4.ip_local_port_range{place} or have it keep its connections."
        ),
        hold: None,
    }
}
