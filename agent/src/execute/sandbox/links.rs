//! Network interfaces, through the one netlink socket that was passed.

use std::os::fd::OwnedFd;

use crate::execute::{
    netlink::{
        self,
        ethtool::{Change, Which},
    },
    value::Interface,
};

/// One change of the interface that was judged: its name and its number must still be together.
pub(super) fn change(
    socket: OwnedFd,
    index: Option<u32>,
    interface: &Interface,
    change: impl FnOnce(&OwnedFd, u32) -> nix::Result<()>,
) -> Result<(), String> {
    let index = index.ok_or("no interface was passed")?;
    let failed = |error: nix::Error| format!("{interface}: {}", explain(error));
    let link = netlink::link_numbered(&socket, index).map_err(failed)?;
    if link.name != interface.as_str() {
        return Err(format!("interface {interface} is not the one that was judged"));
    }
    change(&socket, index).map_err(failed)
}

/// Tells a link something. The kernel itself compares name and number.
pub(super) fn tell(socket: OwnedFd, index: Option<u32>, interface: &Interface, change: Change) -> Result<(), String> {
    let which = Which { index: index.ok_or("no interface was passed")?, name: interface.as_str() };
    netlink::ethtool::set(&socket, which, change).map_err(|error| match error {
        nix::Error::ENODEV => format!("interface {interface} is not the one that was judged"),
        nix::Error::EOPNOTSUPP => format!("{interface}: its driver lets nobody set its speed"),
        nix::Error::EINVAL => format!("{interface}: its driver does not take that"),
        other => format!("{interface}: {}", other.desc()),
    })
}

/// What these errors mean here; the kernel's own words for all others.
fn explain(error: nix::Error) -> String {
    match error {
        nix::Error::EEXIST => "somebody set another root discipline meanwhile".to_owned(),
        nix::Error::EINVAL | nix::Error::ENOENT => {
            format!("the kernel takes no such change, or its root discipline is another by now ({})", error.desc())
        }
        other => other.desc().to_owned(),
    }
}
