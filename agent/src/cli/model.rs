//! `model`: shows or sets which model is asked beside the rules, and tells how it does.

use clap::Args;

use super::{
    CliError, Context,
    eyes::{self, Eyes, Mood, counted, paint},
    incidents::short,
};
use crate::{
    explain::IncidentUid,
    llm::ModelChoice,
    mind::{ModelStatus, settings::Provider, watchtower::ModelState},
    text::Text,
    tools::{
        get_model_metrics::{self, Context as Filled, GetModelMetrics, Rate},
        get_status::GetStatus,
        params::{Bounded, Nothing, Prose},
        set_model::{Answer, Params, SetModel},
    },
};

#[derive(Debug, Args)]
pub struct Model {
    /// The provider to ask from now on; without one, the present one is shown.
    #[arg(conflicts_with = "off")]
    pub provider: Option<Provider>,
    /// Its model; gemini has one that is usual.
    #[arg(requires = "provider")]
    pub model: Option<Prose<128>>,
    /// Where it is asked, if not where it usually is; its key goes there.
    #[arg(long, value_name = "URL", requires = "provider")]
    pub base_url: Option<Prose<512>>,
    /// Ask nobody.
    #[arg(long)]
    pub off: bool,
    /// What came of its cases, how often it was wrong, how long it took and what it cost.
    #[arg(long, conflicts_with_all = ["provider", "off"])]
    pub metrics: bool,
    /// How far back, in hours.
    #[arg(long, value_name = "HOURS", requires = "metrics", default_value = "24")]
    pub hours: Bounded<1, 720>,
}

impl Model {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        if self.metrics {
            let params = get_model_metrics::Params { hours: self.hours };
            return context.show::<GetModelMetrics>(&params, metrics);
        }
        if self.provider.is_none() && !self.off {
            let now = context.ask::<GetStatus>(&Nothing {})?.model;
            return context.print(&now, |now, _| named(now.as_ref().map(|model| &model.choice)));
        }
        let Self { provider, model, base_url, .. } = self;
        context.show::<SetModel>(&Params { provider, model, base_url }, |answer, _| text(answer))
    }
}

/// The change in one line.
#[must_use]
pub fn text(answer: &Answer) -> String {
    if answer.before == answer.now {
        return format!("{} was set already.", named(answer.now.as_ref()));
    }
    format!("Asked beside the rules: {}; it was {}.", named(answer.now.as_ref()), named(answer.before.as_ref()))
}

/// How it stands with it, and what the last case came to, if that was nothing.
#[must_use]
pub fn stands(asked: &ModelStatus) -> String {
    let nothing = asked.came_to_nothing.as_deref().map(nothing);
    std::iter::once(state(&asked.state)).chain(nothing).collect::<Vec<_>>().join("; ")
}

fn nothing(why: &str) -> String {
    paint(Mood::Warn, &format!("the last case came to nothing: {}", line(why)))
}

fn line(why: &str) -> String {
    why.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn state(state: &ModelState) -> String {
    let seconds = |ms: u64| eyes::duration(ms as f64 / 1000.0);
    match state {
        ModelState::Idle => "idle".to_owned(),
        ModelState::Asked { for_ms } => format!("asked {} ago", seconds(*for_ms)),
        ModelState::Waiting { for_ms, why } => {
            paint(Mood::Warn, &format!("asked again in {}: {}", seconds(*for_ms), line(why)))
        }
        ModelState::Suspended { why } => {
            paint(Mood::Warn, &format!("suspended, nothing is done on its word: {}", line(why)))
        }
    }
}

/// What is to be known of it below a list, in one line: that it thinks about one of these, waits, is suspended, or came to
/// nothing the last time.
#[must_use]
pub fn note<'a>(asked: Option<&ModelStatus>, mut of: impl Iterator<Item = &'a IncidentUid>) -> Option<String> {
    let ModelStatus { choice, state: how, thinks_about, came_to_nothing, .. } = asked?;
    let thought = thinks_about.as_ref().filter(|uid| of.any(|of| of == *uid));
    let thinks = thought.map(|uid| format!("thinks about {}", short(uid)));
    let stands = matches!(how, ModelState::Waiting { .. } | ModelState::Suspended { .. }).then(|| state(how));
    let nothing = came_to_nothing.as_deref().map(nothing);
    let said: Vec<String> = thinks.into_iter().chain(stands).chain(nothing).collect();
    (!said.is_empty()).then(|| format!("The model {choice}: {}", said.join("; ")))
}

/// How it does, for eyes.
#[must_use]
pub fn metrics(answer: &get_model_metrics::Answer, eyes: &Eyes) -> String {
    let get_model_metrics::Answer { cases, turns, tokens, budget, .. } = answer;
    let number = |count: u64| eyes::short(count as f64);
    let mut rows = vec![
        row("cases", number(cases.all), endings(cases)),
        row("beside the rules", String::new(), agreements(cases)),
        rate("claims not so", &answer.hallucinations, "claims"),
        rate("calls refused", &answer.tool_errors, "calls of tools"),
        rate("sent back", &answer.sent_back, "drafts and opinions"),
        row("context", filled(&answer.context), format!("of {} tokens", number(answer.context.tokens))),
        row("answers", took(turns), format!("of {}", counted_turns(turns.answered))),
        row("failed", number(turns.failed.values().sum()), kinds(turns)),
        rate("from the record", &answer.cache_hits, "turns"),
        row("tokens", number(tokens.input.saturating_add(tokens.output)), parts(tokens)),
        row("cost", usd(answer.usd), unpriced(answer.unpriced_turns)),
    ];
    let tokens_left = |left: Option<u64>| left.map_or_else(unbounded, |left| format!("{} tokens left", number(left)));
    let left = budget.left;
    rows.push(row("budget", tokens_left(left.hour_tokens), "of this hour".to_owned()));
    rows.push(row("", tokens_left(left.month_tokens), "of thirty days".to_owned()));
    if let Some(left) = left.month_usd {
        rows.push(row("", format!("{} left", usd(Some(left))), "of thirty days".to_owned()));
    }
    let each = budget.incident_tokens.map_or_else(unbounded, |tokens| format!("{} tokens", number(tokens)));
    rows.push(row("", each, "for each incident".to_owned()));
    let span = eyes::duration(answer.hours as f64 * 3600.0);
    format!("Of the last {span}; asked now: {}.\n\n{}", named(answer.model.as_ref()), eyes.table(HEADS, rows))
}

const HEADS: [&str; 3] = ["WHAT", "HOW MUCH", "OF WHAT"];

fn row(what: &str, much: String, of: String) -> [String; 3] {
    [what.to_owned(), much, of]
}

fn rate(what: &str, rate: &Rate, of: &str) -> [String; 3] {
    let much = rate.rate.map_or_else(|| "not known".to_owned(), |rate| eyes::measured("percent", rate * 100.0));
    row(what, much, format!("{} of {} {of}", eyes::short(rate.count as f64), eyes::short(rate.of as f64)))
}

fn listed<const N: usize>(counts: [(u64, &str); N]) -> String {
    let some = counts.iter().filter(|(count, _)| *count > 0);
    some.map(|(count, name)| format!("{} {name}", eyes::short(*count as f64))).collect::<Vec<_>>().join(", ")
}

fn endings(cases: &get_model_metrics::Cases) -> String {
    listed([
        (cases.recommended, "recommended"),
        (cases.answered, "answered"),
        (cases.refused, "refused"),
        (cases.stopped, "stopped"),
        (cases.late, "late"),
        (cases.unfinished, "not over"),
    ])
}

fn agreements(cases: &get_model_metrics::Cases) -> String {
    listed([(cases.agrees, "agreed"), (cases.differs, "differed"), (cases.objects, "objected"), (cases.adds, "added")])
}

fn filled(context: &Filled) -> String {
    let percent = |part: f64| eyes::measured("percent", part * 100.0);
    match (context.p50, context.max) {
        (Some(p50), Some(max)) => format!("p50 {}, at most {}", percent(p50), percent(max)),
        _ => "not known".to_owned(),
    }
}

fn took(turns: &get_model_metrics::Turns) -> String {
    match (turns.p50_ms, turns.p99_ms) {
        (Some(p50), Some(p99)) => {
            format!("p50 {}, p99 {}", eyes::measured("took_ms", p50), eyes::measured("took_ms", p99))
        }
        _ => "not known".to_owned(),
    }
}

fn counted_turns(turns: u64) -> String {
    counted(usize::try_from(turns).unwrap_or(usize::MAX), "turn", "turns")
}

fn kinds(turns: &get_model_metrics::Turns) -> String {
    // The process that thinks says what kinds there are.
    let told = turns
        .failed
        .iter()
        .map(|(kind, count)| format!("{} {}", eyes::short(*count as f64), Text::from(kind.as_str())));
    told.collect::<Vec<_>>().join(", ")
}

fn parts(tokens: &get_model_metrics::Tokens) -> String {
    let number = |count: u64| eyes::short(count as f64);
    let failed =
        if tokens.failed == 0 { String::new() } else { format!("; {} in turns that failed", number(tokens.failed)) };
    format!(
        "{} in ({} from its cache), {} out{failed}",
        number(tokens.input),
        number(tokens.cached),
        number(tokens.output)
    )
}

fn usd(usd: Option<f64>) -> String {
    usd.map_or_else(|| "not known".to_owned(), |usd| format!("${usd:.2}"))
}

fn unpriced(turns: u64) -> String {
    if turns == 0 { String::new() } else { format!("without {} of unknown price", counted_turns(turns)) }
}

fn unbounded() -> String {
    "not bounded".to_owned()
}

fn named(choice: Option<&ModelChoice>) -> String {
    choice.map_or_else(|| "nobody".to_owned(), ModelChoice::to_string)
}
