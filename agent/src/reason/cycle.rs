//! One case from its brief to its end: the specialists at once, then the director.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::{
    asker::Asker,
    desk::Desk,
    talk::{Ended, talk},
    voices::{director, opening, specialists},
};
use crate::mind::brief::Brief;

/// Part of the time that is left which the specialists may take.
const FOR_SPECIALISTS: f64 = 0.5;

/// Thinks a case through.
pub async fn think<D: Desk>(brief: &Brief, asker: &Asker, desk: &D) -> Ended {
    let begun = Instant::now();
    let left = Duration::from_millis(brief.left_ms);
    let until = begun + left;
    let voices = specialists(brief);
    let by = begun + left.mul_f64(FOR_SPECIALISTS);
    let heard = join_all(voices.iter().map(|voice| talk(voice, brief, opening(brief, &[]), asker, desk, by))).await;
    let opinions: Vec<_> = voices.iter().zip(heard).map(|(voice, ended)| (voice.name, in_words(ended))).collect();
    talk(&director(brief), brief, opening(brief, &opinions), asker, desk, until).await
}

fn in_words(ended: Ended) -> String {
    match ended {
        Ended::Concluded(opinion) => opinion.to_string(),
        Ended::Said(words) => words,
        Ended::Stopped(why) => format!("no opinion: {why}"),
    }
}
