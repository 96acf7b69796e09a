//! Who is on the other end: credentials that the kernel vouches for, groups from the user database.

use std::ffi::CString;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

use crate::{text::Text, tools::Role};

/// Its members may look.
pub const VIEWERS: &str = "kernelsight";
/// Its members may approve, deny, undo, execute and change the level.
pub const ADMINS: &str = "kernelsight-admin";

/// The role of a peer: root is admin, and so is the user that the daemon runs as, who could do anything to it anyway;
/// everybody else by the groups of the user and the group it runs as.
#[must_use]
pub fn role(uid: Uid, gid: Gid) -> Role {
    if uid.is_root() || uid == Uid::effective() {
        return Role::Admin;
    }
    let groups = groups(uid, gid);
    let member = |name| group(name).is_some_and(|wanted| groups.contains(&wanted));
    if member(ADMINS) {
        Role::Admin
    } else if member(VIEWERS) {
        Role::Viewer
    } else {
        Role::Nobody
    }
}

/// The login name, or `uid N` for a user that has none here.
#[must_use]
pub fn name(uid: Uid) -> String {
    match User::from_uid(uid) {
        Ok(Some(user)) => Text::from(user.name.as_str()).to_string(),
        _ => format!("uid {uid}"),
    }
}

/// The id of a group, if there is such a group.
#[must_use]
pub fn group(name: &str) -> Option<Gid> {
    Group::from_name(name).ok().flatten().map(|group| group.gid)
}

fn groups(uid: Uid, gid: Gid) -> Vec<Gid> {
    let listed = User::from_uid(uid)
        .ok()
        .flatten()
        .and_then(|user| CString::new(user.name).ok())
        .and_then(|name| getgrouplist(&name, gid).ok());
    listed.unwrap_or_else(|| vec![gid])
}
