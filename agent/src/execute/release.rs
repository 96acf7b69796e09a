//! Taking a process out of the cgroup that was made for it: it and all who were born there go back to where it was, in
//! each hierarchy by itself, and the cgroup goes. So it is however far the way there was come.

use super::{
    Executor, JournalState,
    cgroup_file::CgroupFile,
    cgroup_tree::{children, open_in},
    command::Command,
    open::{failed, read_in},
    own_cgroup::{Home, named, places},
    process::Process,
    setting::SettingError,
    undo::{Setting, TakenBack, UndoError, find},
    value::{CgroupPath, OWN},
};
use crate::{observe::ProcessId, text::Text};

/// What came of it in one hierarchy.
enum Part {
    AsBefore,
    Back,
    LeftAlone(String),
}

impl Executor {
    /// Tries each hierarchy, whatever comes of the others.
    pub(super) fn release(&self, id: ProcessId, homes: &[Home]) -> Result<TakenBack, UndoError> {
        let process = find(id)?;
        let mut taken = TakenBack::void("");
        let (mut is_back, mut left, mut error) = (false, Vec::new(), None);
        for home in homes {
            match self.release_in(id, process.as_ref(), home, &mut taken) {
                Ok(Part::AsBefore) => {}
                Ok(Part::Back) => is_back = true,
                Ok(Part::LeftAlone(note)) => left.push(note),
                Err(failed) => error = Some(failed),
            }
        }
        if let Some(error) = error {
            return Err(error);
        }
        let mut notes = match (is_back, &process) {
            (true, _) => vec![format!("{} -> {}", CgroupPath::own(id), named(homes))],
            (false, None) if left.is_empty() => vec!["the process is gone".to_owned()],
            (false, _) if left.is_empty() => vec![format!("the process is in {} as before", named(homes))],
            (false, _) => Vec::new(),
        };
        taken.state = match (is_back, left.is_empty()) {
            (true, _) => JournalState::Undone,
            (false, true) => JournalState::Void,
            (false, false) => JournalState::LeftAlone,
        };
        if is_back && process.is_none() {
            left.push("the process is gone".to_owned());
        }
        notes.append(&mut left);
        taken.note = notes.join("; ");
        Ok(taken)
    }

    fn release_in(
        &self,
        id: ProcessId,
        process: Option<&Process>,
        home: &Home,
        taken: &mut TakenBack,
    ) -> Result<Part, UndoError> {
        let (own, tree) = (CgroupPath::own(id), home.tree);
        let places = process.map(|process| places(process, tree)).transpose().map_err(UndoError::Process)?;
        let places = places.unwrap_or_default();
        let is_known = |place: &String| *place == home.path || place == own.as_str();
        // Whoever ends just now is in the root by what v1 says.
        let gone = places.iter().find(|_| !places.iter().any(is_known)).map(|place| Text::from(place.as_str()));
        let moved =
            gone.map(|place| format!("by {} it is in {place}, where somebody else put it: left alone", tree.name()));
        let part = |otherwise| moved.map_or(otherwise, Part::LeftAlone);
        let Some(directory) = there(open_in(tree.hierarchy(), own.as_str()))? else {
            if is_left_over(home)? {
                self.delete(id, home, None, taken)?;
            }
            return Ok(part(Part::AsBefore));
        };
        let is_there = there(home.open())?.is_some();
        let unreadable = |error| UndoError::Setting(failed(format!("cgroup {own}"), error));
        let has_more = !children(&directory).map_err(unreadable)?.is_empty();
        let is_empty = read_in(&directory, "cgroup.procs", &format!("cgroup.procs of {own}"))?.trim().is_empty();
        if has_more || !is_there && !is_empty {
            let why = match has_more {
                true => format!("cgroups were made below {own}"),
                false => format!("cgroup {} of {} is gone", home.path, tree.name()),
            };
            self.lift(&own, home, taken)?;
            return Ok(Part::LeftAlone(format!("{why}: whoever is in {own} stays there, without a limit")));
        }
        self.delete(id, home, is_there.then_some(home), taken)?;
        Ok(part(Part::Back))
    }

    fn delete(&self, id: ProcessId, home: &Home, to: Option<&Home>, taken: &mut TakenBack) -> Result<(), UndoError> {
        let command = Command::Release { tree: home.tree, process: id, to: to.map(|to| to.path.clone()) };
        taken.output.push_str(&self.go_back(&command, None, None, to)?);
        taken.commands.push(command.to_string());
        Ok(())
    }

    /// Takes away the limits that were written, and no others.
    fn lift(&self, own: &CgroupPath, home: &Home, taken: &mut TakenBack) -> Result<(), UndoError> {
        for limit in &home.limits {
            let file = CgroupFile::from_name(&limit.file);
            let Some((file, none)) = file.and_then(|file| Some((file, file.no_limit()?))) else { continue };
            let Some(setting) = Setting::cgroup(own, file)? else { continue };
            if setting.read()?.split_ascii_whitespace().next() == Some(limit.wrote.as_str()) {
                let command = Command::Cgset { file, value: none.to_owned(), path: own.clone() };
                taken.output.push_str(&self.put_back(&command, None, Some(&setting))?);
                taken.commands.push(command.to_string());
            }
        }
        Ok(())
    }
}

/// Whether the cgroup of all that are the agent's own is there, and empty: a way that was cut off left it.
fn is_left_over(home: &Home) -> Result<bool, UndoError> {
    let above = format!("/{OWN}");
    match there(open_in(home.tree.hierarchy(), &above))? {
        Some(directory) => {
            let below = children(&directory).map_err(|error| failed(format!("cgroup {above}"), error))?;
            Ok(below.is_empty())
        }
        None => Ok(false),
    }
}

/// What was opened; none when it is gone, or another has its name.
fn there<T>(opened: Result<T, SettingError>) -> Result<Option<T>, UndoError> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(SettingError::Gone { .. } | SettingError::Another { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
