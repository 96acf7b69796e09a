//! `incidents`: one row an incident, with what, who, since when and how it stands.

use clap::Args;

use super::{
    CliError, Context,
    eyes::{self, Eyes, Mood, counted, paint},
    model,
};
use crate::{
    explain::{Incident, IncidentStatus, IncidentUid},
    store::CaseHead,
    tools::{
        get_incident::{self, GetIncident},
        list_incidents::{Answer, ListIncidents, Params},
        params::{Bounded, Prose},
    },
};

/// The part of an incident's id that tells it from the others: the time to the millisecond.
const SHORT_UID: usize = 13;

#[derive(Debug, Args)]
pub struct Incidents {
    /// One incident in full, by its id or the beginning of it.
    #[arg(value_name = "ID")]
    pub incident: Option<Prose<64>>,
    /// Only those that are open.
    #[arg(long)]
    pub open: bool,
    /// Most incidents.
    #[arg(long, value_name = "N", default_value = "50")]
    pub most: Bounded<1, 500>,
}

impl Incidents {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        match self.incident {
            Some(incident) => context.show::<GetIncident>(&get_incident::Params { incident }, one),
            None => {
                let params = Params { open_only: self.open, most: self.most };
                context.show::<ListIncidents>(&params, text)
            }
        }
    }
}

/// The incidents for eyes.
#[must_use]
pub fn text(answer: &Answer, eyes: &Eyes) -> String {
    let open = answer.incidents.iter().filter(|incident| incident.closed_ms.is_none()).count();
    let note = model::note(answer.model.as_ref(), answer.incidents.iter().map(|incident| &incident.uid));
    let note = note.map(|note| format!("\n{}", eyes::finish(&note))).unwrap_or_default();
    if answer.incidents.is_empty() {
        return format!("Nothing is wrong, and nothing was.{note}");
    }
    let rows = answer.incidents.iter().map(|incident| {
        [
            short(&incident.uid),
            eyes::severity(incident.severity),
            eyes.when(incident.opened_ms),
            incident.primary.entity.to_string(),
            state(incident),
            incident.title.clone(),
        ]
    });
    let table = eyes.table(["INCIDENT", "SEVERITY", "SINCE", "WHO", "STATE", "WHAT"], rows);
    let open = counted(open, "incident is open", "incidents are open");
    format!("{table}\n\n{open}. More of one: `kernelsight incidents ID`, `kernelsight trace ID`.{note}")
}

/// One incident for eyes.
#[must_use]
pub fn one(answer: &get_incident::Answer, eyes: &Eyes) -> String {
    let incident = &answer.incident;
    let mut lines = vec![
        format!("{}  {}", eyes::severity(incident.severity), paint(Mood::Strong, &incident.title)),
        format!("id       {}", incident.uid),
        format!("since    {}", eyes.when(incident.opened_ms)),
    ];
    if let Some(closed) = incident.closed_ms {
        lines.push(format!("until    {}", eyes.when(closed)));
    }
    lines.push(format!("state    {}", state(incident)));
    lines.push(format!("cause    {}: {}", incident.primary.entity, incident.primary.sentence));
    for symptom in &incident.symptoms {
        lines.push(format!("symptom  {}: {}", symptom.entity, symptom.sentence));
    }
    if answer.traces.is_empty() {
        lines.push("The loop has not taken it up.".to_owned());
    } else {
        let told: Vec<String> = answer.traces.iter().map(|trace| trace.trace_id.to_string()).collect();
        let traces = counted(answer.traces.len(), "pass", "passes");
        lines.push(format!("looked   {traces} of the loop: kernelsight trace {}", told.join(", ")));
        if let Some(last) = answer.traces.first() {
            lines.push(format!("last     {}", last.recommended_action));
        }
    }
    lines.extend(answer.cases.iter().map(|case| format!("asked    {}", asked(case))));
    if incident.closed_ms.is_none() {
        lines.extend(model::note(answer.model.as_ref(), std::iter::once(&incident.uid)));
    }
    eyes::finish(&lines.join("\n"))
}

/// What a model was asked, in one line.
pub(super) fn asked(case: &CaseHead) -> String {
    let ended = match (&case.agreement, case.ended.as_deref()) {
        (Some(agreement), _) => agreement.to_string(),
        (None, Some("refused")) => "what it said was not so".to_owned(),
        (None, Some("late")) => "its time was over".to_owned(),
        (None, Some(_)) => "it came to nothing".to_owned(),
        (None, None) => "it thinks".to_owned(),
    };
    format!("{}: {ended} (kernelsight trace --case {})", case.author, case.case)
}

/// The beginning of the id, enough to name it.
#[must_use]
pub fn short(uid: &IncidentUid) -> String {
    uid.0.chars().take(SHORT_UID).collect()
}

/// What is being done about it.
pub(super) fn state(incident: &Incident) -> String {
    match incident.status {
        IncidentStatus::Open => "seen".to_owned(),
        IncidentStatus::Working => "being worked on".to_owned(),
        IncidentStatus::AwaitingApproval => paint(Mood::Warn, "waits for you (kernelsight proposals)"),
        IncidentStatus::Resolved => paint(Mood::Good, "resolved"),
        IncidentStatus::Subsided => paint(Mood::Good, "went by itself"),
        IncidentStatus::NeedsHuman => paint(Mood::Bad, "needs a person"),
    }
}
