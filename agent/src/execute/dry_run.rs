//! Dry run: what an action would do if it were carried out now, to whom, and what would stop it. Nothing is done.

use std::{collections::BTreeSet, fs::File};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ActionRequest, Barred, Denial, Errand, Executor, Journal,
    action::{Found, Plan, Power, Risk},
    cgroup_file::CgroupFile,
    cgroup_tree::inhabitants,
    limits::Over,
    manager::{Manager, ManagerError},
    policy::{Considered, Judging, Leave},
    process::{Process, Stat},
    value::{CgroupPath, UnitName},
};
use crate::{observe::ProcessId, text::Text};

/// Processes and cgroups that are named; the rest is counted.
const NAMED_MAX: usize = 20;

/// What would be done, and what would stop it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DryRun {
    pub action: ActionRequest,
    /// None: it was refused before it was clear what would be done.
    pub plan: Option<Planned>,
    /// Why an operator has to approve it; none: nobody has to.
    pub needs_approval: Option<String>,
    /// All that would stop it now, approved or not. Empty: it would be done.
    pub blocked_by: Vec<Denial>,
}

/// What would be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Planned {
    /// For eyes: `python3 (pid 812)`, `cgroup /x`, `node`.
    pub target: String,
    pub risk: Risk,
    pub power: Power,
    /// The line that the allowlist judged, by which rule of it.
    pub command: String,
    pub rule: String,
    /// The file that would be written, or the system call: `/sys/fs/cgroup/x/memory.high`, `setpriority(2)`.
    pub through: String,
    /// Before and after: `nice 0 -> 10`.
    pub change: String,
    /// What it is expected to do, and who pays for that.
    pub predicts: String,
    pub cost: String,
    /// What would take it back, or why nothing does.
    pub undo: String,
    /// Time until its effect shows, s.
    pub settle_s: u32,
    /// It would be taken back by itself after so long, s.
    pub lease_s: Option<u32>,
    pub company: Company,
}

/// Who lives in the target, and whom it would concern besides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Company {
    /// The whole node feels it: nobody is named.
    pub whole_node: bool,
    /// Processes that the action is for: the first [`NAMED_MAX`] by number.
    pub processes: Vec<Member>,
    pub processes_in_all: usize,
    /// Cgroups below the target, which it concerns, too: the first [`NAMED_MAX`] by name.
    pub cgroups_below: Vec<Text>,
    pub cgroups_below_in_all: usize,
    /// Units of systemd that it concerns, by the names of cgroups.
    pub units: Vec<Text>,
    /// Active units that require those, are bound to them or are a part of them, as far as systemd can be asked; or why
    /// they are not told.
    pub dependents: Vec<Text>,
    /// Children of those processes that the action is not for: who waits for an answer of theirs waits longer.
    pub children: Vec<Member>,
    pub children_in_all: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    #[serde(flatten)]
    pub id: ProcessId,
    pub comm: Text,
    pub uid: u32,
}

impl Executor {
    /// Looks at what would be done for this errand, and at everything that would be asked first.
    #[must_use]
    pub fn dry_run(
        &self,
        request: &ActionRequest,
        judging: &Judging<'_>,
        errand: &Errand,
        journal: &dyn Journal,
    ) -> DryRun {
        let mut run = DryRun { action: request.clone(), plan: None, needs_approval: None, blocked_by: Vec::new() };
        let considered = match self.policy().consider(request, judging.expected) {
            Ok(considered) => considered,
            Err(denied) => {
                run.blocked_by.push(denied.denial());
                return run;
            }
        };
        match self.policy().leave(judging.autonomy, &considered) {
            Leave::ByItself => {}
            Leave::Ask(why) => run.needs_approval = Some(why),
            Leave::Never => run.blocked_by.push(super::Denied::Advisor.denial()),
        }
        if considered.action.has_effect() {
            let key = considered.found.key(considered.action.name);
            let asked = errand.asks(considered.action.name, &key, run.needs_approval.is_some());
            match self.barred(&[asked], journal, judging.now_ms) {
                Ok(()) => {}
                Err(Barred::Over(Over { operator_may: true, why, .. })) => {
                    run.needs_approval.get_or_insert(why);
                }
                Err(barred) => run.blocked_by.push(barred.denial()),
            }
        }
        if considered.action.has_effect()
            && let Err(error) = self.could(&considered)
        {
            run.blocked_by.push(Denial { reason: error.to_string(), rule: "executor".to_owned() });
        }
        run.plan = Some(Planned::of(considered));
        run
    }
}

impl Planned {
    fn of(considered: Considered) -> Self {
        let Considered { action, line, rule, plan, found, .. } = considered;
        let company = if action.has_effect() { Company::of(&found) } else { Company::default() };
        Self {
            target: found.to_string(),
            risk: action.risk,
            power: plan.command.power(),
            command: line,
            rule,
            through: through(&plan),
            undo: plan.undo.to_string(),
            change: plan.change,
            predicts: action.predicts.to_string(),
            cost: action.cost.to_owned(),
            settle_s: action.settle_s,
            lease_s: action.lease_s,
            company,
        }
    }
}

/// The files that the plan writes, or the call that it makes.
fn through(plan: &Plan) -> String {
    if let super::Undo::OwnCgroup { process, homes } = &plan.undo {
        let written = homes.iter().flat_map(|home| home.written(*process));
        return written.map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    }
    match plan.file.as_ref().and_then(super::Setting::path) {
        Some(path) => path.display().to_string(),
        None => plan.command.call().to_owned(),
    }
}

impl Company {
    fn of(found: &Found) -> Self {
        let mut company = Self::default();
        match found {
            // Whoever sends through an interface feels it, and whoever writes to a filesystem.
            Found::Node | Found::Interface(_) | Found::Mount(_) => company.whole_node = true,
            Found::File(_) => {}
            Found::Process(process) => {
                company.processes_in_all = 1;
                company.processes.push(Member::of(process));
                company.name_units(&process.cgroups);
                company.name_children(&BTreeSet::from([process.id.pid]));
            }
            Found::Cgroup(path) => company.name_members(path),
            Found::Unit(name) => company.name_unit(name),
        }
        company.name_dependents();
        company
    }

    fn name_members(&mut self, path: &CgroupPath) {
        let mut pids = BTreeSet::new();
        let mut below = BTreeSet::new();
        // One that is not there, or went meanwhile, has nobody in it.
        for file in CgroupFile::OF_EACH_HIERARCHY {
            let found = inhabitants(path, file).unwrap_or_default();
            pids.extend(found.pids);
            below.extend(found.below);
        }
        self.processes_in_all = pids.len();
        self.processes = pids.iter().filter_map(|pid| Member::find(*pid)).take(NAMED_MAX).collect();
        self.name_units(below.iter().map(Text::as_str).chain([path.as_str()]));
        self.cgroups_below_in_all = below.len();
        self.cgroups_below = below.into_iter().take(NAMED_MAX).collect();
        self.name_children(&pids);
    }

    /// A unit is the last part of a cgroup's path that is called like one.
    fn name_units<P: AsRef<str>>(&mut self, paths: impl IntoIterator<Item = P>) {
        let mut units = BTreeSet::new();
        for path in paths {
            let unit =
                |part: &&str| [".service", ".scope", ".slice", ".socket"].iter().any(|kind| part.ends_with(kind));
            units.extend(path.as_ref().rsplit('/').find(unit).map(Text::from));
        }
        self.units = units.into_iter().take(NAMED_MAX).collect();
    }

    fn name_unit(&mut self, name: &UnitName) {
        let cgroup =
            Manager::open().and_then(|mut manager| manager.unit(name.as_str())).ok().and_then(|unit| unit.cgroup);
        if let Some(path) = cgroup.and_then(|path| path.parse().ok()) {
            self.name_members(&path);
        }
        let name = Text::from(name.as_str());
        if !self.units.contains(&name) {
            self.units.push(name);
        }
    }

    /// Where no systemd answers, none is known.
    fn name_dependents(&mut self) {
        let Some(mut manager) = (!self.units.is_empty()).then(|| Manager::open().ok()).flatten() else { return };
        let mut names = BTreeSet::new();
        for unit in &self.units {
            match manager.unit(unit.as_str()).and_then(|unit| manager.dependents(&unit)) {
                Ok(found) => names.extend(found.iter().map(|unit| Text::from(unit.name.as_str()))),
                // Called like a unit, and none.
                Err(ManagerError::NoUnit { .. }) => {}
                Err(error) => _ = names.insert(Text::from(error.to_string().as_str())),
            }
        }
        self.dependents = names.into_iter().filter(|name| !self.units.contains(name)).take(NAMED_MAX).collect();
    }

    fn name_children(&mut self, of: &BTreeSet<u32>) {
        let numbers = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        // Of most processes nothing is asked but who their parent is.
        let parent =
            |pid: u32| Stat::read_open(&mut File::open(format!("/proc/{pid}/stat")).ok()?).ok().map(|stat| stat.parent);
        let is_child = |pid: &u32| !of.contains(pid) && parent(*pid).is_some_and(|parent| of.contains(&parent));
        let children: BTreeSet<u32> = pids.filter(is_child).collect();
        self.children_in_all = children.len();
        self.children = children.iter().filter_map(|pid| Member::find(*pid)).take(NAMED_MAX).collect();
    }
}

impl Member {
    fn of(process: &Process) -> Self {
        Self { id: process.id, comm: process.comm.clone(), uid: process.uid }
    }

    fn find(pid: u32) -> Option<Self> {
        Process::find(pid).ok().map(|process| Self::of(&process))
    }
}
