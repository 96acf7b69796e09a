//! How one program is loaded and attached, and why it could not be.

use aya::{
    Btf, Ebpf,
    programs::{BtfTracePoint, Iter, ProgramError},
};

use super::{
    State,
    programs::{self, Hook, Program, Telling},
};
use crate::observe::offsets::Types;

/// Longest part of a verifier's log that a reason quotes, characters.
const LOG_CHARS: usize = 240;

/// What the kernel's types say of a program: what it must do without, or why it is off.
pub(super) fn fit(program: &Program, types: &Types) -> Result<Vec<String>, String> {
    if let Some(missing) = program.needs.iter().find_map(|paths| types.missing(paths)) {
        return Err(missing.to_string());
    }
    let exists = match program.hook {
        Hook::Tracepoint(name) => types.tracepoint(name).is_some(),
        Hook::Iterator(name) => types.has_iterator(name),
    };
    if !exists {
        return Err(format!("the running kernel has no {}", program.hook));
    }
    let wants = program.wants.iter();
    Ok(wants.filter_map(|want| Some(format!("{}: {}", want.without, types.missing(want.paths)?))).collect())
}

pub(super) fn start(
    ebpf: &mut Ebpf,
    program: &Program,
    fit: Result<Vec<String>, String>,
    hooks: &Btf,
    without_rings: Option<&str>,
) -> State {
    let mut less = match fit {
        Ok(less) => less,
        Err(reason) => return State::Off { reason },
    };
    if let (Telling::Only(without), Some(why)) = (program.telling, without_rings) {
        return State::Off { reason: format!("{without}: {why}") };
    }
    let begin = if program.tracer == programs::SYSCALLS { load_only } else { attach };
    if let Err(error) = begin(ebpf, program.name, program.hook, hooks) {
        return State::Off { reason: short(&error) };
    }
    less.extend(program.shortcoming.map(str::to_owned));
    less.extend(program.telling.less(without_rings));
    if less.is_empty() { State::On } else { State::Degraded { reason: less.join("; ") } }
}

/// Loads one program and attaches it; an iterator is attached each time that it is read.
pub(super) fn attach(ebpf: &mut Ebpf, name: &str, hook: Hook, hooks: &Btf) -> Result<(), ProgramError> {
    load_only(ebpf, name, hook, hooks)?;
    if let Hook::Tracepoint(_) = hook {
        let program: &mut BtfTracePoint = ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)?.try_into()?;
        program.attach()?;
    }
    Ok(())
}

fn load_only(ebpf: &mut Ebpf, name: &str, hook: Hook, hooks: &Btf) -> Result<(), ProgramError> {
    let program = ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)?;
    match hook {
        Hook::Tracepoint(tracepoint) => {
            let program: &mut BtfTracePoint = program.try_into()?;
            program.load(tracepoint, hooks)
        }
        Hook::Iterator(kind) => {
            let program: &mut Iter = program.try_into()?;
            program.load(kind, hooks)
        }
    }
}

/// An error with its causes, and of a verifier's log only the end.
pub(super) fn short(error: &ProgramError) -> String {
    let ProgramError::LoadError { io_error, verifier_log } = error else { return chain(error) };
    let log = verifier_log.to_string();
    let is_figure = |line: &str| ["verification time", "stack depth", "processed"].iter().any(|w| line.starts_with(w));
    let lines: Vec<&str> = log.lines().filter(|line| !line.is_empty() && !is_figure(line)).collect();
    let end: String = lines.iter().rev().take(3).rev().copied().collect::<Vec<_>>().join(" | ");
    let end: String = end.chars().take(LOG_CHARS).collect();
    format!("the kernel refused the program: {io_error}; the verifier's last words: {end}")
}

pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}
