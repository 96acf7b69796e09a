//! A case from when it is opened until it is over: kept before anybody thinks about it, and kept as it ended.

use std::sync::Arc;

use tokio::{sync::oneshot, time::timeout};

use super::{
    case::{Ending, NewCase, OpenCase},
    names::Names,
    packet,
    route::route,
};
use crate::{
    clock::now_ms,
    live::{Daemon, News},
    store::{CaseRow, StoreError},
    text::Text,
    tools::take_case,
};

/// Puts a case before the reasoner and waits for what comes of it: by its deadline at the latest.
///
/// # Errors
/// When it cannot be kept: what is not kept is not thought about.
pub async fn hear(daemon: &Daemon, new: NewCase) -> Result<Ending, StoreError> {
    let begun_ms = now_ms();
    let (open, ended) = OpenCase::open(new);
    let open = Arc::new(open);
    keep(daemon, &open, begun_ms, None)?;
    let ending = if daemon.mind.lay(Arc::clone(&open)) {
        let incident = open.incident.as_ref().map(|incident| incident.uid.clone());
        daemon.tell(News::Thinks { case: open.id, incident });
        // Its time began before it was kept, and whoever thinks about it reckons with that.
        wait(ended, open.left()).await
    } else {
        Ending::Stopped { why: "too many cases wait already".to_owned() }
    };
    open.end(Ending::Late);
    daemon.mind.came_of(&ending);
    if let Ending::Stopped { why } = &ending {
        tracing::warn!(case = open.id, why = %Text::from(why.as_str()), "a model was asked, and came to nothing");
    }
    keep(daemon, &open, begun_ms, Some(ending.clone()))?;
    daemon.mind.tell_ended();
    Ok(ending)
}

async fn wait(ended: oneshot::Receiver<Ending>, within: std::time::Duration) -> Ending {
    match timeout(within, ended).await {
        Ok(Ok(ending)) => ending,
        Ok(Err(_)) => Ending::Stopped { why: "the reasoner went away".to_owned() },
        Err(_) => Ending::Late,
    }
}

fn keep(daemon: &Daemon, open: &OpenCase, begun_ms: i64, ending: Option<Ending>) -> Result<(), StoreError> {
    daemon.store.keep_case(&CaseRow {
        id: open.id,
        begun_ms,
        ended_ms: ending.as_ref().map(|_| now_ms()),
        incident: open.incident.clone(),
        brief: take_case::brief(daemon, open),
        options: open.options.clone(),
        names: open.names(),
        rules: open.rules.clone(),
        looked_up: open.looked_up(),
        tally: open.tally(),
        ending,
        agreement: None,
    })
}

/// A question of an operator as a case.
#[must_use]
pub fn of_question(daemon: &Daemon, text: String) -> Option<NewCase> {
    let mind = &daemon.mind;
    Some(NewCase {
        id: mind.next_case(),
        about: super::brief::About::Question { route: route(&text), text },
        incident: None,
        model: mind.choice()?,
        options: Vec::new(),
        forbidden: Vec::new(),
        rules: None,
        packet: packet::of_question(&daemon.look()),
        around: Names::of(&daemon.look().window),
        within: mind.settings().deadline(),
        veil: super::veil::Veil::default(),
    })
}
