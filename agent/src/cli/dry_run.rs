//! How a dry run looks: what would be done, to whom, how it would be taken back, and what would stop it.

use super::eyes::{self, Mood, counted, duration, paint};
use crate::{
    execute::{Company, DryRun, Member, Planned, Risk},
    text::Text,
};

/// One dry run for eyes.
#[must_use]
pub fn text(run: &DryRun) -> String {
    let mut lines = vec![format!("{} {}; nothing is done", paint(Mood::Strong, "dry run"), run.action)];
    lines.extend(rows(run).into_iter().map(|(what, said)| format!("  {what:<8} {said}")));
    eyes::finish(&lines.join("\n"))
}

/// Its lines, each with what it tells of.
pub(super) fn rows(run: &DryRun) -> Vec<(&'static str, String)> {
    let mut rows = run.plan.as_ref().map(planned).unwrap_or_default();
    for denial in &run.blocked_by {
        let blocked = paint(Mood::Bad, "Blocked by Safety");
        rows.push(("verdict", format!("{blocked}: {} ({})", denial.reason, denial.rule)));
    }
    match &run.needs_approval {
        Some(why) => rows.push(("verdict", format!("{}: {why}", paint(Mood::Warn, "needs an operator's word")))),
        None if run.blocked_by.is_empty() => rows.push(("verdict", paint(Mood::Good, "it would be done"))),
        None => {}
    }
    rows
}

fn planned(plan: &Planned) -> Vec<(&'static str, String)> {
    let risk = format!("{:?}", plan.risk).to_lowercase();
    let mut rows = vec![
        ("on", format!("{}, risk {risk}", plan.target)),
        ("would", format!("{}  (rule {})", plan.command, plan.rule)),
        ("writes", format!("{}: {}", plan.through, plan.change)),
    ];
    if plan.risk != Risk::None {
        rows.extend([("predicts", plan.predicts.clone()), ("cost", plan.cost.clone())]);
    }
    rows.extend(company(&plan.company));
    rows.push(("undo", plan.undo.clone()));
    let lease = plan.lease_s.map(|lease_s| format!("; by itself after {}", duration(lease_s.into())));
    rows.push(("settles", format!("in {}{}", duration(plan.settle_s.into()), lease.unwrap_or_default())));
    rows
}

fn company(company: &Company) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if company.whole_node {
        rows.push(("touches", "the whole node".to_owned()));
    }
    if company.processes_in_all > 0 {
        rows.push(("touches", members(&company.processes, company.processes_in_all, "process", "processes")));
    }
    if company.cgroups_below_in_all > 0 {
        let named = named(company.cgroups_below.iter().map(Text::to_string), company.cgroups_below_in_all);
        rows.push(("below it", format!("{}: {named}", counted(company.cgroups_below_in_all, "cgroup", "cgroups"))));
    }
    if !company.units.is_empty() {
        rows.push(("units", named(company.units.iter().map(Text::to_string), company.units.len())));
    }
    if !company.dependents.is_empty() {
        rows.push(("depend on them", named(company.dependents.iter().map(Text::to_string), company.dependents.len())));
    }
    if company.children_in_all > 0 {
        rows.push(("children", members(&company.children, company.children_in_all, "process", "processes")));
    }
    rows
}

fn members(shown: &[Member], in_all: usize, one: &str, many: &str) -> String {
    let names = shown.iter().map(|member| format!("{} (pid {}, user {})", member.comm, member.id.pid, member.uid));
    format!("{}: {}", counted(in_all, one, many), named(names, in_all))
}

fn named(names: impl ExactSizeIterator<Item = String>, in_all: usize) -> String {
    let more = in_all.saturating_sub(names.len());
    let mut named = names.collect::<Vec<_>>().join(", ");
    if more > 0 {
        named.push_str(&format!(" and {more} more"));
    }
    named
}
