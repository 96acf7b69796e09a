//! Why a step is not taken, though it may be.

use crate::execute::{
    command::THREADS_MAX, manager::ManagerError, own_cgroup::NotOwn, process::ProcessError, setting::SettingError,
};

/// Why a step is not taken, though it may be.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("already there or milder: {what} is {now}, and {asked} was asked for")]
    AlreadyMilder { what: String, now: String, asked: String },
    #[error("it would not {verb}: {what} is {now}, and {asked} was asked for")]
    WrongWay { verb: &'static str, what: String, now: String, asked: String },
    #[error(
        "the limit of {asked_bytes} bytes is below the {used_bytes} bytes of memory that cannot be dropped: the kernel would end processes of it"
    )]
    WouldKill { asked_bytes: u64, used_bytes: u64 },
    #[error("{asked} is below the {used} that {what} has to hold")]
    BelowUse { what: String, asked: u64, used: u64 },
    #[error("{asked} would not help: {what} is {bound}")]
    BoundBy { asked: u64, what: String, bound: u64 },
    #[error("there is no whole block device {device}")]
    NoSuchDevice { device: String },
    #[error("none of the CPUs {asked} is online: {online}")]
    NoSuchCpu { asked: String, online: String },
    #[error("cgroup {path} has no processes in a hierarchy that has {files}")]
    NoHierarchy { path: String, files: &'static str },
    #[error("the threads of process {pid} differ too much: {threads} would have to be named, {THREADS_MAX} can")]
    ThreadsDiffer { pid: u32, threads: usize },
    #[error("{what} is {now}: {asked} would go too far, {least} is the least")]
    TooFar { what: String, now: String, asked: String, least: i64 },
    #[error(
        "the hard limit of process {pid} is {hard}, below the {asked} asked for: raising that one could not be taken back"
    )]
    HardLimit { pid: u32, hard: u64, asked: u64 },
    #[error("process {pid} has not one user and group throughout, so the kernel lets nobody act for it")]
    ManyUsers { pid: u32 },
    #[error("process {pid} is {state}")]
    InThatState { pid: u32, state: &'static str },
    #[error("a share of {percent} % of a period of {period_us} us is less than the kernel's least, 1000 us")]
    QuotaTooSmall { percent: i64, period_us: u64 },
    #[error("`{text}` of {what} is not as the kernel documents it")]
    Unreadable { what: String, text: String },
    #[error("the node has no room for {asked}: {room}")]
    NoRoom { asked: String, room: String },
    #[error("{unit} is {state}; only what is active is restarted")]
    NotActive { unit: String, state: String },
    #[error("{unit} may not be stopped and started by hand: its own file says so")]
    NotByHand { unit: String },
    #[error("{what} could not be put back exactly, so it stays: {why}")]
    NotPutBack { what: String, why: String },
    #[error("{what} does not support {asked} Mbit/s, but {supported}")]
    NoSuchSpeed { what: String, asked: u32, supported: String },
    #[error("the action needs a {what}")]
    NoTarget { what: &'static str },
    #[error(transparent)]
    Manager(#[from] ManagerError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error(transparent)]
    NotOwn(#[from] NotOwn),
}
