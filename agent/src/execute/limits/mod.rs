//! Limits on the whole: what no sequence of decisions may exceed, whoever makes them. What was done is read from the
//! journal each time, so that a restart forgets nothing. Pure: the past and the time are given.

mod maintenance;

use std::{io, path::Path};

use serde::Deserialize;

pub use maintenance::Maintenance;

use super::{JournalRow, JournalState, action::find};
use crate::policies;

const EMBEDDED: &str = include_str!("../../../../policies/limits.toml");
const HOUR_MS: i64 = 60 * 60 * 1000;
/// An action without a verdict for so long means that whoever verifies has stalled, ms.
const VERDICT_WITHIN_MS: i64 = 120_000;
/// When to ask again after what ends by itself, nobody knows when, ms.
const ASK_AGAIN_MS: i64 = 5_000;

/// What no file can loosen.
const CEILING: PerHour = PerHour { node: 120, action: 60, target: 12, same: 6 };
const FLOOR_S: Cooldown = Cooldown { target: 10, node: 1 };
const MOST_FAILURES: u32 = 5;

/// `limits.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    per_hour: PerHour,
    cooldown_s: Cooldown,
    brake: Brake,
    #[serde(default)]
    maintenance: Vec<Maintenance>,
}

/// Actions in one hour: all, of one type, on one target, of one type on one target.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PerHour {
    node: u32,
    action: u32,
    target: u32,
    same: u32,
}

/// Time after an action before the next on the same target, and on any, s.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cooldown {
    target: u32,
    node: u32,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Brake {
    failures: u32,
}

/// Limits that cannot be trusted are not used at all.
#[derive(Debug, thiserror::Error)]
pub enum LimitsError {
    #[error("{path} cannot be read: {source}")]
    Unreadable { path: String, source: io::Error },
    #[error("limits.toml is not as it should be: {reason}")]
    Syntax { reason: String },
    #[error("`{key}` of limits.toml is {given}; it must be {expected}, which this agent never exceeds")]
    Loose { key: &'static str, given: u32, expected: String },
}

/// The time as limits count it.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// Unix time, ms.
    pub wall_ms: i64,
    /// Time since boot, ms, and which boot: within one, ages are told by it, for the wall clock may be set.
    pub uptime_ms: i64,
    pub boot_id: &'a str,
}

/// An action that is to be carried out.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Actions of one deed are carried out and verified together: none of them stands in another's way.
    pub deed: &'a str,
    pub incident: Option<&'a str>,
    pub action_type: &'a str,
    /// Such as `process:812@53412`, `cgroup:/x`, `node:reduce_swappiness`.
    pub target: &'a str,
    /// Whether an operator approved or ordered it.
    pub approved: bool,
}

/// A limit stands in the way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Over {
    /// Such as `limits.target`.
    pub rule: &'static str,
    pub why: String,
    /// When it is worth asking again, ms from now.
    pub wait_ms: i64,
    /// Whether an operator may approve it all the same.
    pub operator_may: bool,
}

/// What was done, or is about to be.
struct Deed<'a> {
    asked: Asked<'a>,
    age_ms: i64,
    /// Without a verdict yet.
    open: bool,
    /// It was carried out, and stood until it had its verdict.
    judged: bool,
}

impl Limits {
    /// The limits of a directory; without the file the embedded ones are in force.
    pub fn load(directory: Option<&Path>) -> Result<Self, LimitsError> {
        let text = policies::text(directory, "limits.toml", EMBEDDED)
            .map_err(|(path, source)| LimitsError::Unreadable { path: path.display().to_string(), source })?;
        Self::parse(&text)
    }

    /// Reads the file's text; what is looser than the ceilings is an error.
    pub fn parse(text: &str) -> Result<Self, LimitsError> {
        let limits: Self = toml::from_str(text).map_err(|error| LimitsError::Syntax { reason: error.to_string() })?;
        let Self { per_hour, cooldown_s, brake, .. } = &limits;
        for (key, given, most) in [
            ("per_hour.node", per_hour.node, CEILING.node),
            ("per_hour.action", per_hour.action, CEILING.action),
            ("per_hour.target", per_hour.target, CEILING.target),
            ("per_hour.same", per_hour.same, CEILING.same),
        ] {
            if given > most {
                return Err(LimitsError::Loose { key, given, expected: format!("{most} or less") });
            }
        }
        for (key, given, least) in [
            ("cooldown_s.target", cooldown_s.target, FLOOR_S.target),
            ("cooldown_s.node", cooldown_s.node, FLOOR_S.node),
        ] {
            if given < least {
                return Err(LimitsError::Loose { key, given, expected: format!("{least} or more") });
            }
        }
        if !(1..=MOST_FAILURES).contains(&brake.failures) {
            let expected = format!("1 to {MOST_FAILURES}");
            return Err(LimitsError::Loose { key: "brake.failures", given: brake.failures, expected });
        }
        Ok(limits)
    }

    /// Failed verdicts in a row after which nothing more is done.
    #[must_use]
    pub fn failures_in_a_row(&self) -> u32 {
        self.brake.failures
    }

    /// Whether all that is asked may be done, one after the other, after what `past` tells of.
    ///
    /// # Errors
    /// The first limit that it would exceed.
    pub fn check(&self, asked: &[Asked<'_>], past: &[JournalRow], now: Now<'_>) -> Result<(), Over> {
        let mut done: Vec<Deed<'_>> = past.iter().map(|row| Deed::of(row, now)).collect();
        for one in asked {
            self.check_one(one, &done, now)?;
            done.push(Deed { asked: *one, age_ms: 0, open: true, judged: false });
        }
        Ok(())
    }

    fn check_one(&self, asked: &Asked<'_>, done: &[Deed<'_>], now: Now<'_>) -> Result<(), Over> {
        if !asked.approved
            && let Some(window) = self.maintenance.iter().find(|window| window.holds(now.wall_ms))
        {
            let why = format!("people work on this node {window}; only what they approve is done");
            return Err(Over { rule: "limits.maintenance", why, wait_ms: ASK_AGAIN_MS, operator_may: true });
        }
        let others = || done.iter().filter(|deed| deed.asked.deed != asked.deed);
        unverified(asked, others())?;
        self.cooling(asked, others())?;
        let all = || done.iter().filter(|deed| deed.age_ms < HOUR_MS);
        spent(&CEILING, "the most that this agent ever does", asked, all(), false)?;
        if asked.approved {
            return Ok(());
        }
        milder_first(asked, others())?;
        spent(&self.per_hour, "what needs no operator", asked, all().filter(|deed| !deed.asked.approved), true)
    }

    /// Whether it is too soon after another.
    fn cooling<'a>(&self, asked: &Asked<'_>, others: impl Iterator<Item = &'a Deed<'a>> + Clone) -> Result<(), Over> {
        let same_target = others.clone().filter(|deed| deed.asked.target == asked.target);
        for (rule, what, cooldown_s, last) in [
            ("limits.cooldown.target", asked.target, self.cooldown_s.target, youngest(same_target)),
            ("limits.cooldown.node", "this node", self.cooldown_s.node, youngest(others)),
        ] {
            let wait_ms = i64::from(cooldown_s) * 1000 - last.unwrap_or(i64::MAX);
            if wait_ms > 0 {
                let why = format!(
                    "the last action on {what} was {:.0} s ago; {cooldown_s} s must pass",
                    last.unwrap_or(0) as f64 / 1000.0
                );
                return Err(Over { rule, why, wait_ms, operator_may: false });
            }
        }
        Ok(())
    }
}

/// Whether something stands in the way that has no verdict yet.
fn unverified<'a>(asked: &Asked<'_>, others: impl Iterator<Item = &'a Deed<'a>>) -> Result<(), Over> {
    for deed in others.filter(|deed| deed.open) {
        let Deed { asked: Asked { action_type, target, incident, .. }, age_ms, .. } = deed;
        let (rule, why) = if *age_ms > VERDICT_WITHIN_MS {
            let why = format!("{action_type} on {target} has had no verdict for {} s: it stalls", age_ms / 1000);
            ("limits.verifier", why)
        } else if asked.incident.is_some() && *incident == asked.incident {
            ("limits.incident", format!("{action_type} on {target} for the same incident is being verified"))
        } else if *action_type == asked.action_type {
            ("limits.kind", format!("another {action_type}, on {target}, is being verified"))
        } else {
            continue;
        };
        return Err(Over { rule, why, wait_ms: ASK_AGAIN_MS, operator_may: false });
    }
    Ok(())
}

/// Whether what ends a process comes before anything milder for the same incident had its verdict.
fn milder_first<'a>(asked: &Asked<'_>, mut others: impl Iterator<Item = &'a Deed<'a>>) -> Result<(), Over> {
    let ends = |name: &str| find(name).is_some_and(|action| action.predicts.ends_processes());
    let is_milder = |deed: &Deed<'_>| {
        let same_incident = asked.incident.is_some() && deed.asked.incident == asked.incident;
        same_incident && deed.judged && !ends(deed.asked.action_type)
    };
    if !ends(asked.action_type) || others.any(is_milder) {
        return Ok(());
    }
    let why =
        format!("{} comes after something milder for the same incident, and nothing was tried", asked.action_type);
    Err(Over { rule: "limits.ladder", why, wait_ms: ASK_AGAIN_MS, operator_may: true })
}

/// Whether one of the budgets is used up.
fn spent<'a>(
    most: &PerHour,
    whose: &str,
    asked: &Asked<'_>,
    done: impl Iterator<Item = &'a Deed<'a>>,
    operator_may: bool,
) -> Result<(), Over> {
    let budgets: [(&'static str, u32, String); 4] = [
        ("limits.same", most.same, format!("{} on {}", asked.action_type, asked.target)),
        ("limits.target", most.target, format!("actions on {}", asked.target)),
        ("limits.action", most.action, format!("actions {}", asked.action_type)),
        ("limits.node", most.node, "actions on this node".to_owned()),
    ];
    let mut counts = [0_u32; 4];
    let mut oldest = [0_i64; 4];
    for deed in done {
        let (target, action) = (deed.asked.target == asked.target, deed.asked.action_type == asked.action_type);
        for (place, counts_here) in [target && action, target, action, true].into_iter().enumerate() {
            if counts_here {
                counts[place] += 1;
                oldest[place] = oldest[place].max(deed.age_ms);
            }
        }
    }
    for (place, (rule, most, what)) in budgets.into_iter().enumerate() {
        if counts[place] >= most {
            let why = format!("{} {what} in the last hour, and {most} are {whose}", counts[place]);
            return Err(Over { rule, why, wait_ms: HOUR_MS - oldest[place], operator_may });
        }
    }
    Ok(())
}

fn youngest<'a>(deeds: impl Iterator<Item = &'a Deed<'a>>) -> Option<i64> {
    deeds.map(|deed| deed.age_ms).min()
}

impl<'a> Deed<'a> {
    fn of(row: &'a JournalRow, now: Now<'_>) -> Self {
        let intent = &row.intent;
        let age_ms = if intent.boot_id == now.boot_id {
            now.uptime_ms - intent.uptime_ms
        } else {
            now.wall_ms - intent.made_at_ms
        };
        let asked = Asked {
            deed: &intent.deed,
            incident: intent.incident.as_ref().map(|uid| uid.0.as_str()),
            action_type: &intent.action.action_type,
            target: &intent.target_key,
            approved: intent.approved_by.is_some(),
        };
        let open = matches!(row.state, JournalState::Intended | JournalState::Done);
        // What failed had none, and what was void had nothing to be judged by.
        let judged = !open && !matches!(row.state, JournalState::Failed | JournalState::Void);
        // What seems to come from the future was done just now.
        Self { asked, age_ms: age_ms.max(0), open, judged }
    }
}
