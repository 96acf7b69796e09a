//! The door of a daemon at which the targets knock: behind it are a store and a spine that refuses everything.

use std::{
    cell::RefCell,
    sync::{Arc, RwLock},
    time::Duration,
};

use kernelsight::{
    execute::ActionRequest,
    live::{Autonomy, Daemon, Live, News, Operator, Order},
    observe::classify::Thresholds,
    serve::attend,
    store::{Limits, Store},
    tools::{Caller, Role},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    runtime::Runtime,
    sync::{broadcast, mpsc, oneshot},
    time::{interval, timeout},
};

/// The id of the request that begins each session.
pub(super) const HELLO_ID: &str = "hello";
const HELLO: &str = concat!(
    r#"{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"#,
    r#""clientInfo":{"name":"fuzz","version":"1"}}}"#,
    "\n",
    r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
    "\n",
);
/// A session is over in ms; one that is not by then never will be.
const OVER_WITHIN: Duration = Duration::from_secs(30);
/// There is always news for who follows.
const NEWS_EVERY: Duration = Duration::from_millis(2);

thread_local! {
    pub(super) static HOUSE: RefCell<House> = RefCell::new(House::open());
}

/// A daemon of which nobody is at home but the door and the store.
pub(super) struct House {
    runtime: Runtime,
    daemon: Daemon,
    orders: mpsc::Receiver<Order>,
    _dir: TempDir,
}

impl House {
    fn open() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (store, _) = Store::open(dir.path(), Limits::default()).expect("a store");
        let (orders, taken) = mpsc::channel(16);
        let daemon = Daemon {
            live: Arc::new(RwLock::new(Live::default())),
            store,
            orders,
            news: broadcast::channel(64).0,
            thresholds: Arc::new(Thresholds::load(None).expect("the embedded ones")),
            restartable: Arc::default(),
            rights: Arc::default(),
            mind: kernelsight::mind::Mind::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, daemon, orders: taken, _dir: dir }
    }

    /// All that a client is answered, and all that the spine was ordered meanwhile.
    pub(super) fn attend(&mut self, role: Role, level: Autonomy, lines: &[u8]) -> (Vec<u8>, Vec<Given>) {
        let Self { runtime, daemon, orders, .. } = self;
        daemon.change().status.autonomy = level;
        let (mut answers, mut given) = (Vec::new(), Vec::new());
        let session = async {
            let (ours, theirs) = UnixStream::pair().expect("two ends");
            let attended = tokio::spawn(attend(theirs, daemon.clone(), Caller::new(operator(), role)));
            let (mut read, mut write) = ours.into_split();
            let said = async {
                for piece in [HELLO.as_bytes(), lines, b"\n"] {
                    // The door may close before all is said.
                    if write.write_all(piece).await.is_err() {
                        break;
                    }
                }
                drop(write);
            };
            let talk = async { tokio::join!(said, read.read_to_end(&mut answers)).1 };
            let spine = async {
                let mut news = interval(NEWS_EVERY);
                loop {
                    tokio::select! {
                        Some(order) = orders.recv() => given.push(Given::refused(order)),
                        _ = news.tick() => daemon.tell(News::Note { text: "something happened".to_owned() }),
                    }
                }
            };
            tokio::select! {
                read = talk => read.expect("the door closes, and breaks nothing"),
                never = spine => never,
            };
            attended.await.expect("no client makes the door panic");
        };
        runtime.block_on(async { timeout(OVER_WITHIN, session).await }).expect("the session is over");
        while let Ok(order) = orders.try_recv() {
            given.push(Given::refused(order));
        }
        (answers, given)
    }
}

pub(super) fn operator() -> Operator {
    Operator { uid: 1000, pid: 7, name: "ann".to_owned() }
}

/// An order that was refused.
pub(super) struct Given {
    /// Whether something is changed by it, if only the agent's own state.
    pub(super) changes: bool,
    /// Whether something is carried out by it, for which the level has to be copilot at least.
    pub(super) carries_out: bool,
    pub(super) by: Operator,
    pub(super) request: Option<(ActionRequest, String, f64)>,
}

impl Given {
    fn refused(order: Order) -> Self {
        let by_level = |by, request| Self { changes: true, carries_out: true, by, request };
        let by_admins = |by| Self { changes: true, carries_out: false, by, request: None };
        match order {
            Order::Execute { request, justification, confidence, by, reply, .. } => {
                refuse(reply);
                by_level(by, Some((request, justification, confidence)))
            }
            Order::Approve { by, reply, .. } => {
                refuse(reply);
                by_level(by, None)
            }
            Order::SetAutonomy { by, reply, .. } => {
                refuse(reply);
                by_admins(by)
            }
            Order::Deny { by, reply, .. } => {
                refuse(reply);
                by_admins(by)
            }
            Order::Pause { by, reply, .. } => {
                refuse(reply);
                by_admins(by)
            }
            Order::Resume { by, reply } => {
                refuse(reply);
                by_admins(by)
            }
            Order::Undo { by, reply, .. } => {
                refuse(reply);
                by_admins(by)
            }
            Order::UndoAll { by, reply } => {
                refuse(reply);
                by_admins(by)
            }
            Order::LookAgain { incident } => panic!("a client has {incident} looked at again"),
            Order::DryRun { by, reply, .. } => {
                refuse(reply);
                Self { changes: false, carries_out: false, by, request: None }
            }
        }
    }
}

fn refuse<T>(reply: oneshot::Sender<Result<T, String>>) {
    // Who took the request back does not wait for it.
    drop(reply.send(Err("the spine refuses everything".to_owned())));
}
