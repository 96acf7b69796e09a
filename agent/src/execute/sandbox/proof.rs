//! Proof that the door is shut: what the kernel shows of an executor after it confined itself. Whatever is not as it
//! should be is a reason not to act.

use std::{
    fs::File,
    io::{Read, Seek},
};

use super::{confine::Limit, order::Granted, status::Status};

/// Longest of the two files, bytes.
const FILE_MAX: u64 = 16 << 10;

/// The executor's own `/proc` files, opened while it still can open something.
#[derive(Debug)]
pub(super) struct Witness {
    status: File,
    limits: File,
    /// Filters that it had before: a daemon under a filter hands that one down.
    filters: u64,
}

impl Witness {
    pub(super) fn open() -> Result<Self, String> {
        let open = |name| File::open(name).map_err(|error| format!("{name} cannot be opened: {error}"));
        let (mut status, limits) = (open("/proc/self/status")?, open("/proc/self/limits")?);
        let filters = Status::of(read(&mut status)?).filters()?;
        Ok(Self { status, limits, filters })
    }

    /// Asks the kernel: the user, the groups, each set of capabilities, the filter, the limits.
    pub(super) fn attest(mut self, granted: &Granted, limits: &[Limit]) -> Result<(), String> {
        let status = Status::of(read(&mut self.status)?);
        let four = |id: u32| format!("{id} {id} {id} {id}");
        let capabilities = format!("{:016x}", granted.capabilities);
        status.expect("Uid", &four(granted.user))?;
        status.expect("Gid", &four(granted.group))?;
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            status.expect(set, &capabilities)?;
        }
        let groups: Vec<String> = granted.groups.iter().map(u32::to_string).collect();
        status.expect("Groups", &groups.join(" "))?;
        status.expect("CapBnd", &format!("{:016x}", granted.bounding))?;
        status.expect_filter(self.filters)?;
        let shown = read(&mut self.limits)?;
        for limit in limits {
            let most = limit.most.to_string();
            let line = shown.lines().find_map(|line| line.strip_prefix(limit.name)).unwrap_or_default();
            let now: Vec<&str> = line.split_whitespace().take(2).collect();
            if now != [&most, &most] {
                return Err(format!("{} is {now:?}, not {most}", limit.name));
            }
        }
        Ok(())
    }
}

fn read(file: &mut File) -> Result<String, String> {
    let mut text = String::new();
    file.rewind()
        .and_then(|()| file.take(FILE_MAX).read_to_string(&mut text))
        .map_err(|error| format!("the executor cannot look at itself: {error}"))?;
    Ok(text)
}
