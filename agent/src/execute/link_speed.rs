//! How fast a link is told to be: one speed, or whatever both ends of it can of some.

use std::{fmt, str::FromStr};

use super::netlink::ethtool::{Change, Modes};

/// Modes that can be told apart here; the kernel has some 120.
const MODES_MAX: u32 = u128::BITS;
const HALF: u8 = 0;
const FULL: u8 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkSpeed {
    /// Whoever is at the other end.
    Forced { mbit: u32, full: bool },
    /// Of the modes that are advertised, a bit each as the kernel numbers them, the best that the other end can.
    Negotiated { advertised: u128 },
}

impl LinkSpeed {
    /// What the driver says, or why that could not be put back.
    pub(super) fn of(modes: &Modes) -> Result<Self, &'static str> {
        if modes.autoneg {
            let advertised = modes.ours.iter().filter(|mode| mode.advertised);
            let mut bits = 0_u128;
            for mode in advertised {
                bits |= 1_u128.checked_shl(mode.bit).ok_or("it advertises modes that this agent does not know")?;
            }
            return if bits == 0 { Err("it advertises no mode") } else { Ok(Self::Negotiated { advertised: bits }) };
        }
        match (modes.speed, modes.duplex) {
            (Some(mbit), HALF | FULL) => Ok(Self::Forced { mbit, full: modes.duplex == FULL }),
            _ => Err("its speed and duplex are not known while it is down"),
        }
    }

    /// What it becomes when it is told this speed: who negotiates offers no other then, and pauses as before.
    pub(super) fn at(self, mbit: u32, modes: &Modes) -> Self {
        match self {
            Self::Forced { full, .. } => Self::Forced { mbit, full },
            Self::Negotiated { .. } => {
                let offered = modes.ours.iter().filter(|mode| match mode.speed {
                    Some(speed) => speed == mbit,
                    None => mode.advertised,
                });
                let bits = offered.filter(|mode| mode.bit < MODES_MAX).fold(0, |bits, mode| bits | 1 << mode.bit);
                Self::Negotiated { advertised: bits }
            }
        }
    }

    pub(super) fn change(self) -> Change {
        match self {
            Self::Forced { mbit, full } => Change {
                autoneg: Some(false),
                speed: Some(mbit),
                duplex: Some(if full { FULL } else { HALF }),
                advertised: None,
            },
            Self::Negotiated { advertised } => {
                Change { autoneg: Some(true), advertised: Some(advertised), ..Change::default() }
            }
        }
    }
}

/// As `ethtool -s` takes it.
impl fmt::Display for LinkSpeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forced { mbit, full } => {
                write!(f, "speed {mbit} duplex {} autoneg off", if *full { "full" } else { "half" })
            }
            Self::Negotiated { advertised } => write!(f, "autoneg on advertise {advertised:x}"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error(
    "`{given}` is no speed of a link; `speed 1000 duplex full autoneg off` is one, `autoneg on advertise 2f` another"
)]
pub struct NoLinkSpeed {
    given: String,
}

impl FromStr for LinkSpeed {
    type Err = NoLinkSpeed;

    fn from_str(given: &str) -> Result<Self, NoLinkSpeed> {
        let words: Vec<&str> = given.split(' ').collect();
        let read = match words.as_slice() {
            ["speed", mbit, "duplex", duplex @ ("half" | "full"), "autoneg", "off"] => {
                mbit.parse().ok().map(|mbit| Self::Forced { mbit, full: *duplex == "full" })
            }
            ["autoneg", "on", "advertise", modes] => {
                u128::from_str_radix(modes, 16).ok().map(|advertised| Self::Negotiated { advertised })
            }
            _ => None,
        };
        read.filter(|read| read.to_string() == given)
            .ok_or_else(|| NoLinkSpeed { given: given.escape_default().take(80).collect() })
    }
}
