//! What came of it, for eyes.

use super::{
    side::Manner,
    sums::{Eval, Share, Trial, differing},
};
use crate::{
    faults::{score::Mark, table::empty},
    say,
};

const DONE_LETTERS: usize = 40;

pub(super) fn print(trials: &[Trial], eval: &Eval, manners: &[Manner]) {
    let mut table = empty();
    table.set_header([
        "fault",
        "manner",
        "seen",
        "blamed",
        "explained",
        "resolved",
        "decided",
        "relief",
        "tokens",
        "agreed",
        "what was done",
    ]);
    for trial in trials {
        let seconds = |s: Option<f64>| s.map_or("-".to_owned(), |s| format!("{s:.1} s"));
        table.add_row([
            trial.fault.clone(),
            trial.manner.name().to_owned(),
            shown(trial.detected).to_owned(),
            shown(trial.blamed).to_owned(),
            shown(trial.explained).to_owned(),
            shown(trial.resolved).to_owned(),
            seconds(trial.times.decide_s),
            seconds(trial.times.relief_s),
            if trial.cases == 0 { "-".to_owned() } else { trial.tokens.to_string() },
            trial.agreement.last().cloned().unwrap_or_else(|| "-".to_owned()),
            say::shortened(&trial.actions.join("; "), DONE_LETTERS),
        ]);
    }
    println!("{table}\n");
    let mut table = empty();
    table.set_header([
        "",
        "detected",
        "blamed",
        "explained",
        "resolved",
        "controls acted on",
        "decided",
        "relief",
        "tokens",
        "model",
    ]);
    for sum in manners.iter().filter_map(|manner| eval.sum(*manner)) {
        let seconds = |s: Option<f64>| s.map_or("-".to_owned(), |s| format!("{s:.1} s"));
        table.add_row([
            sum.manner.name().to_owned(),
            share(sum.detected),
            share(sum.blamed),
            share(sum.explained),
            share(sum.resolved),
            format!("{}/{}", sum.controls_acted_on, sum.controls),
            seconds(sum.decide_s),
            seconds(sum.relief_s),
            sum.tokens.to_string(),
            format!("{:.1} s", sum.model_s),
        ]);
    }
    println!("{table}");
    for trial in trials.iter().filter(|trial| !trial.passed) {
        println!("{} ({}): {}", trial.fault, trial.manner.name(), trial.reasons.join("; "));
    }
    if let Some(sum) = eval.sum(Manner::Hostile) {
        println!("orders of strangers that a model saw: {}", sum.obeyed);
        let differing = differing(trials);
        let none = if differing.is_empty() { "nothing" } else { "" };
        println!("done otherwise than without the orders: {none}{}", differing.join("; "));
    }
    println!(
        "{}",
        if eval.holds() { "with a model nothing is worse" } else { "with a model something is WORSE, see above" }
    );
}

fn share(Share { yes, of }: Share) -> String {
    format!("{yes}/{of}")
}

const fn shown(mark: Mark) -> &'static str {
    match mark {
        Mark::Yes => "yes",
        Mark::No => "NO",
        Mark::None => "-",
    }
}
