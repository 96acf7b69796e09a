//! Limits of a cgroup that a unit of systemd owns are set through systemd, which would otherwise write its own over them.
//!
//! So it is for what systemd keeps as one number on the unified hierarchy. Device by device, frozen or not, and what is
//! reclaimed now is written as before: systemd writes none of it by itself.

use super::{
    action::{Plan, Refusal},
    cgroup_file::{CgroupFile, Hierarchy},
    cgroup_tree::{cgroup_text, mount_with},
    command::Command,
    manager::{Limit, Manager, Property},
    undo::{Setting, Undo},
    value::CgroupPath,
};

/// A plan that writes the limit of a unit's own cgroup, turned into one by which systemd does; any other as it is.
///
/// It stays as it is, too, where nobody can ask systemd, where what stands is not what systemd keeps (somebody else
/// writes there), and where an operator has set that limit until the next boot: to undo ours would take his away.
pub(super) fn through_its_owner(plan: Plan) -> Result<Plan, Refusal> {
    let Command::Cgset { file, value, path } = &plan.command else { return Ok(plan) };
    let Undo::Setting { before, .. } = &plan.undo else { return Ok(plan) };
    let Some((property, limit, stands)) = as_property(path, *file, value, before)? else { return Ok(plan) };
    let Ok(mut manager) = Manager::open() else { return Ok(plan) };
    let Some(unit) = manager.owner(path)? else { return Ok(plan) };
    if property.drop_in(&unit).exists() {
        return Ok(plan);
    }
    let kept = manager.property(&unit, property)?.unwrap_or(Limit(None));
    if as_the_kernel_has_it(property, kept) != stands {
        return Ok(plan);
    }
    let setting = Setting::Property { path: path.to_string(), property };
    let command = Command::SetProperty { property, limit, path: path.clone() };
    Ok(Plan::set(command, setting, kept.to_string(), limit.to_string()))
}

/// What systemd calls it, what is asked for, and what stands; none where systemd keeps it as something else.
fn as_property(
    path: &CgroupPath,
    file: CgroupFile,
    value: &str,
    before: &str,
) -> Result<Option<(Property, Limit, Limit)>, Refusal> {
    let limit = |text: &str| if text == "max" { Some(Limit(None)) } else { text.parse().ok().map(|n| Limit(Some(n))) };
    let property = match file {
        CgroupFile::MemoryHigh => Property::MemoryHigh,
        CgroupFile::MemoryMax => Property::MemoryMax,
        CgroupFile::PidsMax if mount_with(Hierarchy::V1("pids")).is_none() => Property::TasksMax,
        CgroupFile::CpuMax => {
            let text = cgroup_text(path, file, file.name())?.unwrap_or_default();
            let period_us = text.split_ascii_whitespace().nth(1).and_then(|period| period.parse::<u64>().ok());
            let per_second = |text: &str| match (limit(text)?, period_us?) {
                (Limit(None), _) => Some(Limit(None)),
                // What does not come out even would come back as another quota.
                (Limit(Some(quota_us)), period_us) => {
                    let product = quota_us.checked_mul(1_000_000)?;
                    (period_us > 0 && product % period_us == 0).then(|| Limit(Some(product / period_us)))
                }
            };
            let stands = before.split(' ').next().unwrap_or_default();
            return Ok(per_second(value).zip(per_second(stands)).map(|(to, now)| (Property::CpuQuota, to, now)));
        }
        _ => return Ok(None),
    };
    Ok(limit(value).zip(limit(before)).map(|(to, now)| (property, to, now)))
}

/// The kernel keeps memory in whole pages.
fn as_the_kernel_has_it(property: Property, limit: Limit) -> Limit {
    match property {
        Property::MemoryHigh | Property::MemoryMax => {
            let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096) as u64;
            Limit(limit.0.map(|bytes| bytes / page * page))
        }
        Property::CpuQuota | Property::TasksMax => limit,
    }
}
