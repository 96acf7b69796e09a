//! The speed of a link: set where the driver takes it, and put back as it was. A tun device is a driver that takes all, and
//! that can be told what it supports.

use std::mem::offset_of;

use kernelsight::execute::{Errand, JournalState, OutcomeStatus};
use nix::{
    libc,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};
use serde_json::{Value, json};

use crate::{
    execute_qdisc::{in_a_network_of_its_own, ip},
    execute_support::Bench,
    store_rows::NOW_MS,
};

const GLINKSETTINGS: u32 = 0x4c;
const SLINKSETTINGS: u32 = 0x4d;
const SIOCETHTOOL: libc::c_ulong = 0x8946;
/// Words of each mask; kernels have 2 to 5.
const WORDS_MAX: usize = 8;

/// `struct ethtool_link_settings`, and the masks of modes that follow it: supported, advertised, and the other end's.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    command: u32,
    pub(crate) speed: u32,
    duplex: u8,
    port: u8,
    address: u8,
    autoneg: u8,
    more: [u8; 3],
    words: i8,
    rest: [u8; 32],
    masks: [u32; 3 * WORDS_MAX],
}

/// By the older of the two ways, which is none of the agent's.
#[expect(unsafe_code, reason = "an ioctl that no crate wraps")]
fn ioctl(interface: &str, link: &mut Link) {
    assert_eq!(offset_of!(Link, masks), 48);
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).unwrap();
    // SAFETY: all of an ifreq may be zero.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = std::ptr::from_mut(link).cast();
    // SAFETY: the kernel reads and writes `link` as far as its masks have words, and it has room for more.
    let done = unsafe { libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(&socket), SIOCETHTOOL, &raw mut request) };
    assert_eq!(done, 0, "{interface}: {}", std::io::Error::last_os_error());
}

pub(crate) fn link(interface: &str) -> Link {
    let mut link = Link {
        command: GLINKSETTINGS,
        speed: 0,
        duplex: 0,
        port: 0,
        address: 0,
        autoneg: 0,
        more: [0; 3],
        words: 0,
        rest: [0; 32],
        masks: [0; 3 * WORDS_MAX],
    };
    // The kernel says how many words it has first, below zero.
    ioctl(interface, &mut link);
    link.words = -link.words;
    assert!((1..=WORDS_MAX as i8).contains(&link.words));
    link.command = GLINKSETTINGS;
    ioctl(interface, &mut link);
    link
}

fn tell(interface: &str, change: impl FnOnce(&mut Link)) {
    let mut link = link(interface);
    link.command = SLINKSETTINGS;
    change(&mut link);
    ioctl(interface, &mut link);
}

/// Tells it what it supports and advertises: the first 32 modes.
fn negotiates(interface: &str, supported: u32, advertised: u32) {
    tell(interface, |link| {
        link.autoneg = 1;
        link.masks[0] = supported;
        link.masks[link.words as usize] = advertised;
    });
}

fn advertised(interface: &str) -> u32 {
    let link = link(interface);
    link.masks[link.words as usize]
}

/// The same with a tun device `t0` that is up.
fn with_a_tun(test: impl FnOnce(&Bench) + Send) {
    in_a_network_of_its_own(|| {
        if let Err(why) = ip("tuntap add dev t0 mode tap") {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{why}");
            eprintln!("skipped: no tun device could be made: {why}");
            return;
        }
        ip("link set t0 up").unwrap();
        test(&Bench::new());
    });
}

fn to(interface: &str, mbit: u32) -> Value {
    json!({ "interface": interface, "mbit": mbit })
}

#[test]
fn a_link_that_does_not_negotiate_is_set_and_put_back() {
    with_a_tun(|bench| {
        let modes = [(10_000, 1), (100, 0), (2500, 1)];
        for (speed, duplex) in modes {
            tell("t0", |link| (link.speed, link.duplex) = (speed, duplex));
            let before = link("t0");
            let outcome = bench.act("set_link_speed", to("t0", 1000));
            assert_eq!(outcome.command, "ethtool -s t0 speed 1000");
            assert_eq!(link("t0"), Link { speed: 1000, ..before });
            assert_eq!(bench.undo(&outcome).unwrap().status, OutcomeStatus::Done);
            assert_eq!(link("t0"), before);
        }
    });
}

#[test]
fn a_link_that_negotiates_offers_one_speed_and_then_all_again() {
    with_a_tun(|bench| {
        // 10, 100 (half and full each), 1000 full, autonegotiation itself, and pausing; not 1000 half.
        negotiates("t0", 0x206f, 0x206f);
        for advertised_before in [0x206f, 0x2062, 0x204f] {
            negotiates("t0", 0x206f, advertised_before);
            let before = link("t0");
            let outcome = bench.act("set_link_speed", to("t0", 100));
            assert_eq!(advertised("t0"), 0x204c, "{outcome:?}");
            assert_eq!(link("t0").autoneg, 1);
            bench.undo(&outcome).unwrap();
            assert_eq!(bench.row(&outcome).state, JournalState::Undone);
            // But for the speed, which is what both ends found last; this device finds none.
            assert_eq!(link("t0"), Link { speed: link("t0").speed, ..before });
        }
    });
}

#[test]
fn a_speed_that_cannot_be_is_refused() {
    with_a_tun(|bench| {
        let why = |interface: &str, mbit| bench.judge("set_link_speed", to(interface, mbit)).unwrap_err().to_string();
        assert_eq!(why("lo", 1000), "the driver of interface lo does not say how fast it is");
        assert_eq!(why("t1", 1000), "there is no interface t1");
        let line = |interface: &str| bench.policy.check_command(&format!("ethtool -s {interface} speed 1000"));
        assert!(line("t0").allowed);
        // Whatever its driver says of itself.
        assert!(!line("lo").allowed && line("lo").reason.contains("is no command of the executor"));
        // Older kernels make one that says 10.
        tell("t0", |link| link.speed = 10_000);
        assert_eq!(
            why("t0", 10_000),
            "already there or milder: link of t0 is speed 10000 duplex full autoneg off, and 10000 Mbit/s was asked for"
        );
        for mbit in [0, 9, 800_001] {
            assert!(why("t0", mbit).contains("an integer from 10 to 800000"), "{}", why("t0", mbit));
        }
        negotiates("t0", 0x6f, 0x6f);
        assert_eq!(why("t0", 25_000), "link of t0 does not support 25000 Mbit/s, but 10, 100, 1000");
        negotiates("t0", 0x6f, 0x0c);
        assert!(why("t0", 100).starts_with("already there or milder"), "{}", why("t0", 100));
        tell("t0", |link| (link.autoneg, link.speed) = (0, u32::MAX));
        assert!(why("t0", 100).ends_with("its speed and duplex are not known while it is down"), "{}", why("t0", 100));

        // A driver that answers and lets nobody set it.
        let before = link("v0");
        let permit = bench.judge("set_link_speed", to("v0", 1000)).unwrap();
        let outcome = bench.executor.run(permit, &bench.store, &Errand::ordered(), NOW_MS).unwrap();
        assert_eq!(outcome.status, OutcomeStatus::Failed);
        assert_eq!(outcome.output.trim_end(), "v0: its driver lets nobody set its speed");
        assert_eq!((bench.row(&outcome).state, link("v0")), (JournalState::Failed, before));
    });
}

#[test]
fn what_somebody_else_told_a_link_meanwhile_stays() {
    with_a_tun(|bench| {
        let permit = bench.judge("set_link_speed", to("t0", 1000)).unwrap();
        tell("t0", |link| link.speed = 2500);
        let refused = bench.executor.run(permit, &bench.store, &Errand::ordered(), NOW_MS).unwrap_err().to_string();
        assert!(refused.starts_with("interface t0 changed after it was judged: "), "{refused}");
        let outcome = bench.act("set_link_speed", to("t0", 1000));
        tell("t0", |link| link.speed = 100);
        assert_eq!(bench.undo(&outcome).unwrap().status, OutcomeStatus::LeftAlone);
        assert_eq!(link("t0").speed, 100);

        // A link that is down says no speed: it may be down because of this one.
        let outcome = bench.act("set_link_speed", to("t0", 1000));
        tell("t0", |link| (link.speed, link.duplex) = (u32::MAX, 255));
        assert_eq!(bench.undo(&outcome).unwrap().status, OutcomeStatus::Done);
        assert_eq!((link("t0").speed, link("t0").duplex), (100, 1));

        // Another of that name.
        let outcome = bench.act("set_link_speed", to("t0", 1000));
        ip("tuntap del dev t0 mode tap").unwrap();
        ip("tuntap add dev t0 mode tap").unwrap();
        tell("t0", |link| link.speed = 1000);
        bench.undo(&outcome).unwrap();
        assert_eq!((bench.row(&outcome).note.as_str(), link("t0").speed), ("link of t0 is gone", 1000));
    });
}
