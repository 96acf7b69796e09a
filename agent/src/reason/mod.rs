//! Reason: the process that thinks with a model. It has no power over the node: it is a client of the daemon's door like
//! any other, can be ended at any time, and what it says is untrusted.

pub mod asker;
pub mod cycle;
pub mod desk;
pub mod door;
mod memory;
pub mod replay;
pub mod talk;
pub mod voices;

use std::time::Duration;

use cycle::think;
use door::Door;
use talk::Ended;

use crate::{
    llm::{self, Keys, ModelChoice},
    mind::{brief::Brief, settings::Provider},
};
use asker::Asker;

/// A reasoner that has nothing to do for so many looks ends; the daemon starts another when there is something.
const IDLE_LOOKS: u32 = 6;
/// What is lost when the daemon goes away.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// Takes one case after the other through the door, until there is none for two minutes or the daemon goes away.
///
/// # Errors
/// When the daemon cannot be spoken to.
pub async fn reason(door: Door, keys: &Keys) -> Result<(), door::DoorError> {
    let mut asker: Option<(ModelChoice, Asker)> = None;
    let mut idle = 0;
    while idle < IDLE_LOOKS {
        let Some(brief) = door.take_case().await? else {
            idle += 1;
            continue;
        };
        idle = 0;
        // The same one as before keeps its breaker.
        if asker.as_ref().is_none_or(|(choice, _)| *choice != brief.model) {
            asker = match llm::provider(&brief.model, keys, brief.configured.map(Provider::name)) {
                Ok(provider) => Some((brief.model.clone(), Asker::new(provider))),
                Err(error) => {
                    door.give_up(&error.to_string()).await?;
                    None
                }
            };
        }
        if let Some((_, asker)) = &asker {
            end(&brief, think(&brief, asker, &door).await, &door).await?;
        }
    }
    door.leave(LEAVE_WITHIN).await;
    Ok(())
}

/// A recommendation or an answer was taken when it was made; anything else is told now.
async fn end(brief: &Brief, ended: Ended, door: &Door) -> Result<(), door::DoorError> {
    use crate::mind::brief::About;
    match (ended, &brief.about) {
        (Ended::Concluded(_), _) | (Ended::Said(_), About::Question { .. }) => Ok(()),
        (Ended::Said(_), About::Incident) => door.give_up("it said something, and concluded nothing").await,
        (Ended::Stopped(why), _) => door.give_up(&why).await,
    }
}
