//! P10: what the loop adds to the time that a model takes.

use anyhow::Result;

use super::{Figure, Goal};

pub(super) fn measure() -> Result<Vec<Figure>> {
    let what = "what the loop adds to a model of known delay";
    Ok(vec![Figure::not_taken("P10", what, Goal::AtMost(250.0), "ms", "no model yet")])
}
