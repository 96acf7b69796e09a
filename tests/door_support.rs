//! A daemon made of values, served on a real socket; its spine answers orders and writes them down.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, RwLock},
};

use kernelsight::{
    config::Settings,
    execute::{
        ActionRequest, Company, Denial, DryRun, Hold, HoldKind, Member, Outcome, OutcomeStatus, Planned, Power, Risk,
    },
    explain::{Incident, IncidentStatus, IncidentUid},
    live::{Autonomy, Daemon, Live, News, Order, Part, PartState, Status},
    mind::Mind,
    numbers,
    observe::{Entity, ProcessId, Severity, Signal, SignalType, classify::Thresholds},
    serve::{Roles, serve_as},
    store::{Limits, Store},
    text::Text,
    tools::{Rights, Role},
};
use rmcp::{
    RoleClient,
    model::CallToolRequestParams,
    service::{RunningService, serve_client},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::UnixStream,
    runtime::Runtime,
    sync::{broadcast, mpsc, oneshot},
};

/// 2026-11-21 10:00:00 UTC.
pub(crate) const NOW_MS: i64 = 1_795_255_200_000;

/// The incident about which the spine says nothing.
pub(crate) const SILENT: &str = "01a20000-0000-7000-8000-000000000000";

/// A daemon and its door. Dropped, the door closes.
pub(crate) struct House {
    pub(crate) runtime: Runtime,
    pub(crate) daemon: Daemon,
    pub(crate) socket: PathBuf,
    /// What the spine was ordered to do, in short.
    pub(crate) ordered: Arc<Mutex<Vec<String>>>,
    stop: Option<oneshot::Sender<()>>,
    served: Option<tokio::task::JoinHandle<()>>,
    _dir: TempDir,
}

impl House {
    /// Everybody who connects has this role.
    pub(crate) fn open(role: Role) -> Self {
        Self::with(Arc::new(move |_, _| role))
    }

    pub(crate) fn with(roles: Roles) -> Self {
        Self::with_rights(roles, Rights::default())
    }

    pub(crate) fn with_rights(roles: Roles, rights: Rights) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let (store, _) = Store::open(&dir.path().join("state"), Limits::default()).unwrap();
        let (orders, taken) = mpsc::channel(16);
        let daemon = Daemon {
            live: Arc::new(RwLock::new(Live { status: status(), ..Live::default() })),
            store,
            orders,
            news: broadcast::channel(64).0,
            thresholds: Arc::new(Thresholds::load(None).unwrap()),
            rights: Arc::new(rights),
            restartable: Arc::default(),
            mind: Mind::default(),
        };
        let ordered = Arc::new(Mutex::new(Vec::new()));
        runtime.spawn(spine(taken, daemon.clone(), Arc::clone(&ordered)));
        let socket = dir.path().join("run/kernelsight.sock");
        let settings = Settings { socket: socket.clone(), ..Settings::default() };
        let (stop, stopped) = oneshot::channel::<()>();
        let door = daemon.clone();
        let served = runtime.spawn(async move {
            serve_as(door, &settings, roles, async { drop(stopped.await) }).await.unwrap();
        });
        let house = Self { runtime, daemon, socket, ordered, stop: Some(stop), served: Some(served), _dir: dir };
        house.runtime.block_on(async {
            while UnixStream::connect(&house.socket).await.is_err() {
                tokio::task::yield_now().await;
            }
        });
        house
    }

    pub(crate) async fn client(&self) -> RunningService<RoleClient, ()> {
        let stream = UnixStream::connect(&self.socket).await.unwrap();
        serve_client((), stream.into_split()).await.unwrap()
    }

    /// Calls one tool as a client of its own; what it says when it refuses is the error.
    pub(crate) fn call(&self, tool: &'static str, params: Value) -> Result<Value, String> {
        self.runtime.block_on(async {
            let client = self.client().await;
            let answer = ask(&client, tool, params).await;
            client.cancel().await.unwrap();
            answer
        })
    }

    /// Which kind of refusal a call meets.
    pub(crate) fn kind(&self, tool: &'static str, params: Value) -> String {
        self.runtime.block_on(async {
            let client = self.client().await;
            let request = CallToolRequestParams::new(tool).with_arguments(params.as_object().unwrap().clone());
            let result = client.call_tool(request).await.unwrap();
            client.cancel().await.unwrap();
            result.structured_content.unwrap()["error"].as_str().unwrap_or("made").to_owned()
        })
    }

    pub(crate) fn level(&self, level: Autonomy) {
        self.daemon.change().status.autonomy = level;
    }

    /// Closes the door and waits until it is closed.
    pub(crate) fn close(&mut self) {
        drop(self.stop.take());
        if let Some(served) = self.served.take() {
            self.runtime.block_on(served).unwrap();
        }
    }

    pub(crate) fn ordered(&self) -> Vec<String> {
        self.ordered.lock().unwrap().clone()
    }
}

pub(crate) async fn ask(
    client: &RunningService<RoleClient, ()>,
    tool: &'static str,
    params: Value,
) -> Result<Value, String> {
    let request = CallToolRequestParams::new(tool).with_arguments(params.as_object().unwrap().clone());
    let result = client.call_tool(request).await.unwrap();
    if result.is_error == Some(true) {
        return Err(result.content.iter().filter_map(|block| block.as_text()).map(|text| text.text.clone()).collect());
    }
    Ok(result.structured_content.unwrap())
}

async fn spine(mut orders: mpsc::Receiver<Order>, daemon: Daemon, ordered: Arc<Mutex<Vec<String>>>) {
    let note = |line: String| ordered.lock().unwrap().push(line);
    while let Some(order) = orders.recv().await {
        match order {
            Order::SetAutonomy { level, by, reply } => {
                note(format!("set {} by {} (uid {})", level.name(), by.name, by.uid));
                daemon.change().status.autonomy = level;
                reply.send(Ok(level)).unwrap();
            }
            Order::LookAgain { incident } => note(format!("look again at {incident}")),
            Order::Approve { proposal: 7, reply, .. } => {
                note("approve 7".to_owned());
                reply.send(Ok(vec![outcome()])).unwrap();
            }
            Order::Approve { proposal, reply, .. } => {
                reply.send(Err(format!("proposal {proposal} is denied already"))).unwrap();
            }
            Order::Deny { proposal, reason, reply, .. } => {
                note(format!("deny {proposal}: {reason}"));
                reply.send(Ok(())).unwrap();
            }
            Order::Pause { why, for_s, by, reply } => {
                note(format!("pause for {for_s:?} s by {}: {why}", by.name));
                reply.send(Ok(hold(&why))).unwrap();
            }
            Order::Resume { reply, .. } => {
                note("resume".to_owned());
                reply.send(Ok(vec![hold("the disk is replaced")])).unwrap();
            }
            Order::UndoAll { reply, .. } => {
                note("undo all".to_owned());
                reply.send(Ok(vec![Ok(outcome()), Err("action 2: it is stuck".to_owned())])).unwrap();
            }
            Order::Undo { action, reply, .. } => {
                note(format!("undo {action}"));
                reply.send(Ok(outcome())).unwrap();
            }
            Order::DryRun { incident: Some(uid), reply, .. } if uid.0 == SILENT => {
                reply.send(Err("the loop stands still".to_owned())).unwrap();
            }
            Order::DryRun { actions, incident, reply, .. } => {
                note(format!(
                    "dry run of {} for {}",
                    actions[0],
                    incident.map_or_else(|| "nobody".to_owned(), |uid| uid.0)
                ));
                reply.send(Ok(vec![dry_run()])).unwrap();
            }
            Order::Execute { request, justification, confidence, reply, .. } => {
                note(format!("{} {}: {justification} ({confidence})", request.action_type, json!(request.params)));
                reply.send(Ok(outcome())).unwrap();
            }
        }
    }
}

pub(crate) fn dry_run() -> DryRun {
    let member = |pid, comm| Member { id: ProcessId { pid, start_ticks: 1 }, comm: Text::from(comm), uid: 33 };
    let company = Company {
        processes: vec![member(812, "python3")],
        processes_in_all: 1,
        units: vec![Text::from("web.service")],
        children: vec![member(813, "sh")],
        children_in_all: 3,
        ..Company::default()
    };
    DryRun {
        action: outcome().action,
        plan: Some(Planned {
            target: "python3 (pid 812)".to_owned(),
            risk: Risk::Low,
            power: Power::SysNice,
            command: "renice -n 10 -p 812".to_owned(),
            rule: "renice".to_owned(),
            through: "setpriority(2)".to_owned(),
            change: "nice 0 -> 10".to_owned(),
            predicts: "its share falls as its weight does".to_owned(),
            cost: "it runs slower while others want the CPU".to_owned(),
            undo: "nice 10 -> 0 of 1 threads".to_owned(),
            settle_s: 5,
            lease_s: Some(600),
            company,
        }),
        needs_approval: Some("an operator approves every action at this level".to_owned()),
        blocked_by: vec![Denial { reason: "it is paused by ann".to_owned(), rule: "hold.paused".to_owned() }],
    }
}

pub(crate) fn hold(why: &str) -> Hold {
    Hold { kind: HoldKind::Paused, why: why.to_owned(), by: "ann".to_owned(), since_ms: NOW_MS, until_ms: None }
}

pub(crate) fn status() -> Status {
    let part = |kind: &str, name: &str, state| Part {
        kind: kind.to_owned(),
        name: name.to_owned(),
        state,
        runs: Some(1000),
        run_time_ns: Some(7000),
        counted_s: Some(20.0),
        lost: 0,
    };
    Status {
        version: "0.1.0".to_owned(),
        pid: 4242,
        started_ms: NOW_MS - 7_380_000,
        now_ms: NOW_MS,
        autonomy: Autonomy::Advisor,
        parts: vec![
            part("probe", "sched_switch", PartState::On),
            part("probe", "rss_stat", PartState::Off { reason: "the kernel has no tracepoint rss_stat".to_owned() }),
            part("source", "meminfo", PartState::On),
        ],
        ticks: 7380,
        own_cpu_percent: Some(0.13),
        own_rss_bytes: Some(31 << 20),
        events_seen: 12_345,
        events_lost: 0,
        database_bytes: Some(5 << 20),
        ..Status::default()
    }
}

pub(crate) fn signal() -> Signal {
    Signal {
        id: 1,
        signal_type: SignalType::MemoryPressure,
        measure: "growth_bytes_per_s".into(),
        entity: Entity::Process { id: ProcessId { pid: 812, start_ticks: 53_412 }, comm: "python3".into() },
        severity: Severity::High,
        peak_severity: Severity::Critical,
        pressure: 0.8,
        value: 209_715_200.0,
        numbers: numbers! { rss_bytes: 1_073_741_824.0 },
        sentence: "resident memory grows by 200 MiB/s".to_owned(),
        first_seen_ms: NOW_MS - 12_000,
        last_seen_ms: NOW_MS,
        count: 12,
        closed_ms: None,
        lost_events: 0,
    }
}

pub(crate) fn incident() -> Incident {
    Incident {
        uid: IncidentUid("019a9b1c-2d3e-7000-8000-000000000001".to_owned()),
        opened_ms: NOW_MS - 12_000,
        closed_ms: None,
        status: IncidentStatus::Working,
        severity: Severity::High,
        title: "python3 (pid 812) eats the memory".to_owned(),
        primary: signal(),
        symptoms: Vec::new(),
        fingerprint: "memory_pressure growth_bytes_per_s process:python3".to_owned(),
    }
}

pub(crate) fn outcome() -> Outcome {
    Outcome {
        action_id: Some(3),
        action: ActionRequest {
            action_type: "lower_process_priority".to_owned(),
            params: json!({ "pid": 812, "priority": 10 }).as_object().unwrap().clone(),
        },
        command: "renice -n 10 -p 812".to_owned(),
        status: OutcomeStatus::Done,
        output: String::new(),
        duration_ms: 12,
        change: "nice 0 -> 10".to_owned(),
        lease_until_ms: None,
    }
}

pub(crate) fn note(text: &str) -> News {
    News::Note { text: text.to_owned() }
}
