//! `lower_oom_score_adj`: when memory ends, the kernel ends others before this process. It never raises the value.
//!
//! It never makes a process immune (-1000), and never prefers one to the node's own that stood in line like all (0 and
//! above). The executor has no CAP_SYS_RESOURCE, so the kernel refuses to go below the least that somebody who had it
//! ever set: that least cannot be read, so it could not be put back.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target, oom_score_adj, set_oom_score_adj};
use crate::execute::value::{Bounded, Pid};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LowerOomScoreAdj {
    pid: Pid,
    /// Value to reach; 0 at least for a process that has 0 or more.
    value: Bounded<-900, 999>,
}

impl Action for LowerOomScoreAdj {
    const NAME: &'static str = "lower_oom_score_adj";
    const SUMMARY: &'static str = "Lowers oom_score_adj, so that others are ended before a process when memory ends";
    const ON: On = On::Process;
    const RISK: Risk = Risk::Medium;
    const POWER: Power = Power::ProcessFile;
    const WRITES: &'static str = "/proc/PID/oom_score_adj";
    const PREDICTS: Predicts = Predicts::Unreckoned("the kernel ends others before it when memory ends");
    const COST: &'static str = "others are ended before it when memory ends";
    const NEVER: &'static [&'static str] = &["a score of 0 or more, to make it negative"];
    const SETTLE_S: u32 = 10;
    const LEASE_S: Option<u32> = Some(3600);
}

impl Step for LowerOomScoreAdj {
    fn target(&self) -> Target {
        Target::Process(self.pid.get() as u32)
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let process = found.process()?;
        let (setting, now) = oom_score_adj(process)?;
        let asked = self.value.get() as i32;
        let (what, now_text, asked_text) = (setting.name(), now.to_string(), asked.to_string());
        if asked >= now {
            return Err(Refusal::WrongWay { verb: "lower", what, now: now_text, asked: asked_text });
        }
        if now >= 0 && asked < 0 {
            return Err(Refusal::TooFar { what, now: now_text, asked: asked_text, least: 0 });
        }
        Ok(set_oom_score_adj(process, setting, now, asked))
    }
}
