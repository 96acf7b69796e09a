//! Queueing disciplines over rtnetlink(7): the root of an interface is read, deleted, and added as it was dumped.

use std::os::fd::AsFd;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL};
use nix::errno::Errno;

use super::{ask, attribute, each, find, text, u32_at};

const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_GETQDISC: u16 = 38;
/// `struct tcmsg`: family and padding, interface, handle, parent, info.
const TC_BYTES: usize = 20;
const TC_H_ROOT: u32 = u32::MAX;
const MAJOR: u32 = 0xffff_0000;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_STATS2: u16 = 7;
const TCA_STAB: u16 = 8;
const TCA_HW_OFFLOAD: u16 = 12;
const TCA_INGRESS_BLOCK: u16 = 13;
const TCA_EGRESS_BLOCK: u16 = 14;
const TCA_STATS_RATE_EST: u16 = 2;
const TCA_STATS_RATE_EST64: u16 = 5;

/// The root discipline of an interface, as the kernel dumps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::execute) struct Root {
    /// Major number of its handle.
    pub(in crate::execute) major: u16,
    pub(in crate::execute) kind: String,
    pub(in crate::execute) options: Vec<u8>,
    /// What it has besides, which its options do not tell.
    pub(in crate::execute) besides: Option<&'static str>,
}

/// The root discipline that somebody set; none: the kernel's default, which has no handle.
pub(in crate::execute) fn root(socket: &impl AsFd, index: u32) -> nix::Result<Option<Root>> {
    let mut messages = ask(socket, RTM_GETQDISC, NLM_F_DUMP, &message(index, 0, 0))?;
    // The kernel dumps those of every interface.
    messages.retain(|(kind, body)| *kind == RTM_NEWQDISC && u32_at(body, 4) == Ok(index));
    let Some((_, body)) = messages.iter().find(|(_, body)| u32_at(body, 12) == Ok(TC_H_ROOT)) else {
        return Ok(None);
    };
    let handle = u32_at(body, 8)?;
    if handle == 0 {
        return Ok(None);
    }
    let attributes = body.get(TC_BYTES..).ok_or(Errno::EPROTO)?;
    let is_child = |body: &[u8]| u32_at(body, 12).is_ok_and(|parent| parent != TC_H_ROOT && parent & MAJOR == handle);
    let has_children = messages.iter().any(|(_, body)| is_child(body));
    Ok(Some(Root {
        major: (handle >> 16) as u16,
        kind: find(attributes, TCA_KIND).and_then(text).ok_or(Errno::EPROTO)?.to_owned(),
        options: find(attributes, TCA_OPTIONS).unwrap_or_default().to_vec(),
        besides: if has_children { Some("another discipline below it") } else { besides(attributes) },
    }))
}

fn besides(attributes: &[u8]) -> Option<&'static str> {
    each(attributes).find_map(|(kind, value)| match kind {
        TCA_STAB => Some("a size table, which the kernel does not show whole"),
        TCA_INGRESS_BLOCK | TCA_EGRESS_BLOCK => Some("a block of filters that others share"),
        TCA_HW_OFFLOAD if value.iter().any(|byte| *byte != 0) => Some("a half of it in the card"),
        TCA_STATS2 if each(value).any(|(kind, _)| matches!(kind, TCA_STATS_RATE_EST | TCA_STATS_RATE_EST64)) => {
            Some("a rate estimator, whose interval the kernel does not show")
        }
        _ => None,
    })
}

/// Deletes the root discipline, if it still has this handle and kind: the kernel compares both.
pub(in crate::execute) fn delete(socket: &impl AsFd, index: u32, major: u16, kind: &str) -> nix::Result<()> {
    let mut body = message(index, major, TC_H_ROOT);
    attribute(&mut body, TCA_KIND, [kind.as_bytes(), b"\0"].concat());
    ask(socket, RTM_DELQDISC, 0, &body).map(drop)
}

/// Adds a root discipline in the place of the default one, and of no other: the kernel answers `EEXIST` then.
pub(in crate::execute) fn add(
    socket: &impl AsFd,
    index: u32,
    major: u16,
    kind: &str,
    options: &[u8],
) -> nix::Result<()> {
    let mut body = message(index, major, TC_H_ROOT);
    attribute(&mut body, TCA_KIND, [kind.as_bytes(), b"\0"].concat());
    attribute(&mut body, TCA_OPTIONS, options.to_vec());
    ask(socket, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &body).map(drop)
}

fn message(index: u32, major: u16, parent: u32) -> Vec<u8> {
    let mut body = vec![0; TC_BYTES];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    body[8..12].copy_from_slice(&(u32::from(major) << 16).to_ne_bytes());
    body[12..16].copy_from_slice(&parent.to_ne_bytes());
    body
}
