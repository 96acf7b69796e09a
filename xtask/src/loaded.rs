//! What is loaded into the kernel, whoever loaded it.

use std::{collections::BTreeSet, io};

use anyhow::Result;
use aya::{
    maps::loaded_maps,
    programs::{ProgramInfo, loaded_links, loaded_programs},
};

/// All programs; none of those that go away while they are looked at.
pub(crate) fn programs() -> Result<Vec<ProgramInfo>> {
    loaded_programs().filter_map(there).collect()
}

pub(crate) fn program_ids() -> Result<BTreeSet<u32>> {
    Ok(programs()?.iter().map(ProgramInfo::id).collect())
}

pub(crate) fn map_ids() -> Result<BTreeSet<u32>> {
    loaded_maps().filter_map(there).map(|info| Ok(info?.id())).collect()
}

pub(crate) fn link_ids() -> Result<BTreeSet<u32>> {
    loaded_links().filter_map(there).map(|info| Ok(info?.id())).collect()
}

/// The kernel lists ids, and each is opened after that: what nobody held any more is gone by then.
fn there<T, E: std::error::Error + Send + Sync + 'static>(one: Result<T, E>) -> Option<Result<T>> {
    let is_gone = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    match one.map_err(anyhow::Error::new) {
        Err(error) if error.chain().any(is_gone) => None,
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use aya::{programs::ProgramError, sys::SyscallError};

    use super::*;

    #[test]
    fn what_goes_away_while_it_is_listed_is_not_there_and_any_other_error_is_told() {
        let failed = |kind: io::ErrorKind| {
            let error = SyscallError { call: "bpf_prog_get_fd_by_id", io_error: kind.into() };
            there::<u32, _>(Err(ProgramError::from(error)))
        };
        assert!(failed(io::ErrorKind::NotFound).is_none());
        assert!(matches!(failed(io::ErrorKind::PermissionDenied), Some(Err(_))));
        assert!(matches!(there::<_, ProgramError>(Ok(7)), Some(Ok(7))));
    }
}
