//! `raise_oom_score_adj`: when memory ends, the kernel ends this process sooner than others. It never lowers the value.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target, oom_score_adj, set_oom_score_adj};
use crate::execute::value::{Bounded, Pid};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RaiseOomScoreAdj {
    pid: Pid,
    /// Value to reach: 1000 stands for all memory on top of what it has.
    value: Bounded<1, 1000>,
}

impl Action for RaiseOomScoreAdj {
    const NAME: &'static str = "raise_oom_score_adj";
    const SUMMARY: &'static str = "Raises oom_score_adj, so that a process is ended before others when memory ends";
    const ON: On = On::Process;
    const RISK: Risk = Risk::Medium;
    const POWER: Power = Power::ProcessFile;
    const WRITES: &'static str = "/proc/PID/oom_score_adj";
    const PREDICTS: Predicts = Predicts::Unreckoned("the kernel ends it before others when memory ends");
    const COST: &'static str = "it is ended first when memory ends";
    const SETTLE_S: u32 = 10;
    const LEASE_S: Option<u32> = Some(3600);
}

impl Step for RaiseOomScoreAdj {
    fn target(&self) -> Target {
        Target::Process(self.pid.get() as u32)
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let process = found.process()?;
        let (setting, now) = oom_score_adj(process)?;
        let asked = self.value.get() as i32;
        if asked <= now {
            return Err(Refusal::WrongWay {
                verb: "raise",
                what: setting.name(),
                now: now.to_string(),
                asked: asked.to_string(),
            });
        }
        Ok(set_oom_score_adj(process, setting, now, asked))
    }
}
