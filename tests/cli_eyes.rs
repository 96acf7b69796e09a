//! What each verb prints for eyes.

use anstream::adapter::strip_str;
use expect_test::{Expect, expect};
use jiff::tz::TimeZone;
use kernelsight::{
    cli::{
        actions, autonomy, changes,
        doctor::{self, Check, Health},
        eyes::{self, Eyes},
        incidents, predict, proposals, signals, status, trace, trends, watch,
    },
    explain::IncidentStatus,
    live::{Autonomy, News, PartState},
    observe::{
        Entity, Event, ProcessId, Severity, SignalType,
        changes::{ComingsAndGoings, Setting},
        event::What,
    },
    reflect::{Phase, TraceStep},
    simulate::{Forecast, Projection},
    store::ProposalStatus,
    tools::{
        diff_state, get_incident, list_actions, list_incidents, list_proposals, list_traces, query_signals,
        set_autonomy, simulate_scenario, summarize_trends,
    },
    verify::Verdict,
};

use crate::{
    cli_values::{action, asked, head, proposal, rising, usual},
    door_support::{NOW_MS, dry_run, incident, outcome, signal, status as daemon_status},
};

fn eyes() -> Eyes {
    Eyes { now_ms: NOW_MS, zone: TimeZone::UTC, width: None }
}

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&strip_str(text).to_string());
}

#[test]
fn status_says_first_whether_all_is_well() {
    let first =
        |status: &_| status::text(status, false, &eyes()).lines().next().map(|line| strip_str(line).to_string());
    let mut status = daemon_status();
    assert_eq!(first(&status).unwrap(), "The node is well: nothing is abnormal; but of the agent, 1 part is off.");
    status.parts[1].state = PartState::On;
    assert_eq!(first(&status).unwrap(), "All is well: nothing is abnormal, and all 3 parts work.");
    status.open_signals = 2;
    assert_eq!(
        first(&status).unwrap(),
        "Nothing is wrong, but 2 signals are open (`kernelsight signals`); the agent is whole."
    );
    status.open_incidents = 1;
    assert_eq!(first(&status).unwrap(), "Not well: 1 incident is open (`kernelsight incidents`); the agent is whole.");
}

#[test]
fn status_shows_what_does_not_work_and_what_it_costs() {
    let mut status = daemon_status();
    status.events_lost = 12;
    status.notes.push("the database was damaged; it was set aside as kernelsight.db.damaged-1".to_owned());
    check(
        &status::text(&status, false, &eyes()),
        expect![[r#"
        The node is well: nothing is abnormal; but of the agent, 1 part is off.

        agent     version 0.1.0, pid 4242, started 07:57:00 (2 h 3 min ago)
        level     advisor: it looks and proposes, and changes nothing
        costs     0.13 % of a CPU, 31 MiB of memory, 5 MiB of database
        events    12,345 seen, 12 lost, in 7,380 ticks: conclusions are the less sure for it
        parts     on: probe 1/2, source 1/1
        note      the database was damaged; it was set aside as kernelsight.db.damaged-1

        KIND   NAME      STATE  WHY
        probe  rss_stat  off    the kernel has no tracepoint rss_stat"#]],
    );
    check(
        &status::text(&status, true, &eyes()),
        expect![[r#"
            The node is well: nothing is abnormal; but of the agent, 1 part is off.

            agent     version 0.1.0, pid 4242, started 07:57:00 (2 h 3 min ago)
            level     advisor: it looks and proposes, and changes nothing
            costs     0.13 % of a CPU, 31 MiB of memory, 5 MiB of database
            events    12,345 seen, 12 lost, in 7,380 ticks: conclusions are the less sure for it
            parts     on: probe 1/2, source 1/1
            note      the database was damaged; it was set aside as kernelsight.db.damaged-1

            KIND    NAME          STATE  RUNS  A RUN  LOST  WHY
            probe   sched_switch  on     50/s  7 ns
            probe   rss_stat      off    50/s  7 ns         the kernel has no tracepoint rss_stat
            source  meminfo       on     50/s  7 ns"#]],
    );
}

#[test]
fn signals_are_a_table_with_open_ones_first() {
    let mut past = signal();
    (past.id, past.closed_ms, past.lost_events) = (2, Some(NOW_MS - 4000), 3);
    let answer = query_signals::Answer {
        signals: vec![signal(), past],
        open: 1,
        lookback_minutes: 60,
        truncated: false,
        unread: Vec::new(),
    };
    check(
        &signals::text(&answer, &eyes()),
        expect![[r#"
        SEVERITY  TYPE             WHO                SINCE     FOR        VALUE                      WHAT
        high      memory_pressure  python3 (pid 812)  09:59:48  12 s       200 MiB/s                  resident memory grows by 200 MiB/s
        critical  memory_pressure  python3 (pid 812)  09:59:48  8 s, over  200 MiB/s (3 events lost)  resident memory grows by 200 MiB/s

        1 signal is open, 2 shown."#]],
    );
    let none = query_signals::Answer {
        signals: Vec::new(),
        open: 0,
        lookback_minutes: 90,
        truncated: false,
        unread: Vec::new(),
    };
    check(&signals::text(&none, &eyes()), expect!["Nothing is abnormal now, nor was in the last 1 h 30 min."]);
}

#[test]
fn a_narrow_terminal_wraps_and_no_line_is_wider() {
    let answer = query_signals::Answer {
        signals: vec![signal()],
        open: 1,
        lookback_minutes: 60,
        truncated: false,
        unread: Vec::new(),
    };
    let narrow = Eyes { width: Some(72), ..eyes() };
    let text = signals::text(&answer, &narrow);
    let lines: Vec<String> = text.lines().map(|line| strip_str(line).to_string()).collect();
    assert!(lines.len() > 4, "{text}");
    assert!(lines.iter().all(|line| line.chars().count() <= 72), "{text}");
}

#[test]
fn incidents_are_one_row_each() {
    let mut past = incident();
    (past.status, past.closed_ms) = (IncidentStatus::Resolved, Some(NOW_MS));
    let mut waits = incident();
    waits.status = IncidentStatus::AwaitingApproval;
    let answer = list_incidents::Answer { incidents: vec![incident(), waits, past], model: None, unread: Vec::new() };
    check(
        &incidents::text(&answer, &eyes()),
        expect![[r#"
        INCIDENT       SEVERITY  SINCE                WHO                STATE                                  WHAT
        019a9b1c-2d3e  high      09:59:48 (12 s ago)  python3 (pid 812)  being worked on                        python3 (pid 812) eats the memory
        019a9b1c-2d3e  high      09:59:48 (12 s ago)  python3 (pid 812)  waits for you (kernelsight proposals)  python3 (pid 812) eats the memory
        019a9b1c-2d3e  high      09:59:48 (12 s ago)  python3 (pid 812)  resolved                               python3 (pid 812) eats the memory

        2 incidents are open. More of one: `kernelsight incidents ID`, `kernelsight trace ID`."#]],
    );
    check(
        &incidents::text(&list_incidents::Answer { incidents: Vec::new(), model: None, unread: Vec::new() }, &eyes()),
        expect!["Nothing is wrong, and nothing was."],
    );
    check(
        &incidents::one(
            &get_incident::Answer {
                incident: incident(),
                traces: vec![head()],
                cases: vec![asked()],
                model: None,
                unread: Vec::new(),
            },
            &eyes(),
        ),
        expect![[r#"
            high  python3 (pid 812) eats the memory
            id       019a9b1c-2d3e-7000-8000-000000000001
            since    09:59:48 (12 s ago)
            state    being worked on
            cause    python3 (pid 812): resident memory grows by 200 MiB/s
            looked   1 pass of the loop: kernelsight trace 12
            last     limit_cgroup_memory cgroup=/x bytes=1073741824
            asked    gemini/scripted: it agrees (kernelsight trace --case 3)"#]],
    );
}

#[test]
fn traces_are_one_row_each() {
    let mut denied = head();
    (denied.trace_id, denied.verdict, denied.denied) = (13, None, Some("sshd is protected".to_owned()));
    let mut undone = head();
    (undone.trace_id, undone.verdict, undone.undone) = (14, Some(Verdict::Unchanged), true);
    let answer = list_traces::Answer { traces: vec![undone, denied, head()], unread: Vec::new() };
    check(
        &trace::text(&answer, &eyes()),
        expect![[r#"
        TRACE  WHEN                INCIDENT       BECAUSE                           ACTION                                          ENDED
        14     09:59:51 (9 s ago)  019a9b1c-2d3e  memory_leak by python3 (pid 812)  limit_cgroup_memory cgroup=/x bytes=1073741824  unchanged, taken back
        13     09:59:51 (9 s ago)  019a9b1c-2d3e  memory_leak by python3 (pid 812)  limit_cgroup_memory cgroup=/x bytes=1073741824  denied: sshd is protected
        12     09:59:51 (9 s ago)  019a9b1c-2d3e  memory_leak by python3 (pid 812)  limit_cgroup_memory cgroup=/x bytes=1073741824  resolved"#]],
    );
}

#[test]
fn a_proposal_says_what_why_and_how_to_answer() {
    let shown = list_proposals::Shown { row: proposal(), dry_runs: vec![dry_run()], no_dry_run: None };
    let answer = list_proposals::Answer { proposals: vec![shown], model: None, unread: Vec::new() };
    check(
        &proposals::text(&answer, &eyes()),
        expect![[r#"
            proposal 7  waits for you, for incident 019a9b1c-2d3e, by rules, 09:59:30 (30 s ago)
              do       lower_process_priority(pid 812, priority 10)
              expect   run-queue p99 falls from 9 ms to 1 ms within 15 s
              because  python3 takes 97 % of a CPU that others wait for
              sure     0.85 = evidence 0.90 × past success 0.95
              dry run  lower_process_priority(pid 812, priority 10)
                on       python3 (pid 812), risk low
                would    renice -n 10 -p 812  (rule renice)
                writes   setpriority(2): nice 0 -> 10
                predicts its share falls as its weight does
                cost     it runs slower while others want the CPU
                touches  1 process: python3 (pid 812, user 33)
                units    web.service
                children 3 processes: sh (pid 813, user 33) and 2 more
                undo     nice 10 -> 0 of 1 threads
                settles  in 5 s; by itself after 10 min
                verdict  Blocked by Safety: it is paused by ann (hold.paused)
                verdict  needs an operator's word: an operator approves every action at this level
              answer   kernelsight approve 7   or   kernelsight deny 7 --reason …   (it lapses in 9 min 30 s)
              story    kernelsight trace 12"#]],
    );
    let mut denied = proposal();
    (denied.status, denied.by, denied.reason) =
        (ProposalStatus::Denied, Some("ann".to_owned()), Some("it is the backup".to_owned()));
    denied.settled_ms = Some(NOW_MS);
    let shown = list_proposals::Shown { row: denied, dry_runs: Vec::new(), no_dry_run: None };
    let answer = list_proposals::Answer { proposals: vec![shown], model: None, unread: Vec::new() };
    let text = strip_str(&proposals::text(&answer, &eyes())).to_string();
    assert!(text.contains("settled  10:00:00 (now) by ann: it is the backup"), "{text}");
    assert!(!text.contains("approve"), "{text}");
}

#[test]
fn actions_say_what_stands_and_how_to_take_it_back() {
    let answer = list_actions::Answer { actions: vec![action()], unread: Vec::new() };
    check(
        &actions::text(&answer, &eyes()),
        expect![[r#"
        ID  WHEN                 TARGET             COMMAND              BY   STATE                         NOTE
        3   09:59:40 (20 s ago)  python3 (pid 812)  renice -n 10 -p 812  ann  stands; lease ends in 10 min  resolved

        Take one back with `kernelsight undo ID`."#]],
    );
    check(
        &actions::outcome(&outcome(), &eyes()),
        expect![[r#"
        done: renice -n 10 -p 812
          changed  nice 0 -> 10 (in 12 ms)
          undo     kernelsight undo 3"#]],
    );
}

#[test]
fn trends_show_what_moves_beside_what_is_usual() {
    let moving = summarize_trends::Series {
        measure: "rss_bytes".to_owned(),
        entity: "process:812@53412".to_owned(),
        who: "python3 (pid 812)".to_owned(),
        trend: Some(rising()),
        unknown: None,
        usual: Some(usual()),
    };
    let unknown = summarize_trends::Series {
        measure: "rss_bytes".to_owned(),
        entity: "process:9@1".to_owned(),
        who: "process 9@1".to_owned(),
        trend: None,
        unknown: Some("3 points, 10 are needed".to_owned()),
        usual: None,
    };
    let answer = summarize_trends::Answer {
        unread: Vec::new(),
        signal_type: SignalType::MemoryPressure,
        window_minutes: 5,
        series: vec![moving, unknown],
        pattern: summarize_trends::Pattern {
            signals: 2,
            open: 1,
            worst: Severity::High,
            about: vec![("process:python3".to_owned(), 2)],
            stood_s: 95.0,
        },
    };
    check(
        &trends::text(std::slice::from_ref(&answer), false, &eyes()),
        expect![[r#"
            TYPE             MEASURE    OF                 NOW    A MINUTE    R²     USUAL (P50 TO P95)
            memory_pressure  rss_bytes  python3 (pid 812)  1 GiB  ↑ +100 MiB  0.992  191 MiB to 286 MiB

            memory_pressure: 2 signals in 5 min, 1 open, high at the worst; some stood for 1 min 35 s in all; about process:python3 (2)."#]],
    );
    check(
        &trends::text(&[answer], true, &eyes()),
        expect![[r#"
            TYPE             MEASURE    OF                 NOW                      A MINUTE    R²     USUAL (P50 TO P95)
            memory_pressure  rss_bytes  python3 (pid 812)  1 GiB                    ↑ +100 MiB  0.992  191 MiB to 286 MiB
            memory_pressure  rss_bytes  process 9@1        3 points, 10 are needed                     not known yet

            memory_pressure: 2 signals in 5 min, 1 open, high at the worst; some stood for 1 min 35 s in all; about process:python3 (2)."#]],
    );
}

#[test]
fn a_prediction_shows_its_arithmetic() {
    let answer = simulate_scenario::Answer {
        signal_type: SignalType::MemoryPressure,
        duration_minutes: 30,
        incidents: vec![simulate_scenario::Scenario {
            incident: incident().uid,
            title: incident().title,
            culprit: None,
            forecast: Forecast {
                if_nothing_is_done: "OOM in 21 min if nothing is done".to_owned(),
                projections: vec![Projection {
                    what: "node memory".to_owned(),
                    current: 35.2,
                    slope_per_min: 1.18,
                    threshold: 60.0,
                    unit: "%".to_owned(),
                    minutes: Some(21.0),
                    r_squared: 0.92,
                    points: 30,
                    formula: "35.2 % + 1.18 %/min reaches 60 % in 21.0 min, r² 0.92, 30 points".to_owned(),
                }],
                effects: Vec::new(),
            },
            reached_within: true,
            unknown: vec!["what is usual is not known yet".to_owned()],
        }],
        lines: vec![simulate_scenario::Line {
            entity: "process:812@53412".to_owned(),
            who: "python3 (pid 812)".to_owned(),
            trend: rising(),
            at_end: 4.2e9,
        }],
    };
    check(
        &predict::text(&[answer], &eyes()),
        expect![[r#"
            019a9b1c-2d3e  python3 (pid 812) eats the memory
              OOM in 21 min if nothing is done
              node memory: 35.2 % + 1.18 %/min reaches 60 % in 21.0 min, r² 0.92, 30 points
              not known: what is usual is not known yet

            If every line goes on as it does:
            TYPE             MEASURE                         NOW    A MINUTE  IN 30 MIN  HOW SURE
            memory_pressure  rss_bytes of python3 (pid 812)  1 GiB  +100 MiB  3.91 GiB   r² 0.992, 60 points"#]],
    );
    let calm = simulate_scenario::Answer {
        signal_type: SignalType::Scheduler,
        duration_minutes: 60,
        incidents: Vec::new(),
        lines: Vec::new(),
    };
    check(
        &predict::text(&[calm], &eyes()),
        expect!["Nothing is wrong and nothing moves: no change is foreseen in 1 h."],
    );
}

#[test]
fn news_are_one_line_each() {
    let mut closed = signal();
    closed.closed_ms = Some(NOW_MS);
    let step = TraceStep {
        phase: Phase::Decide,
        at_ms: NOW_MS,
        text: "cpu_hog, 0.87 sure.\nlower_process_priority pid=812".to_owned(),
    };
    let event = Event {
        at_ns: 5,
        process: ProcessId { pid: 812, start_ticks: 53_412 },
        comm: "python3".into(),
        cgroup_id: 1,
        what: What::RssStep { rss_bytes: 1 << 30 },
    };
    let news = [
        News::SignalOpened { signal: signal() },
        News::SignalChanged { signal: signal() },
        News::SignalClosed { signal: closed },
        News::IncidentOpened { incident: incident() },
        News::IncidentChanged { incident: incident() },
        News::Step { incident: incident().uid, step },
        News::Note { text: "an action of the run before was taken back".to_owned() },
        News::Raw { event },
    ];
    let lines: Vec<String> = news.iter().map(|news| watch::line(news, &eyes())).collect();
    assert!(lines.iter().all(|line| line.lines().count() == 1));
    check(
        &lines.join("\n"),
        expect![[r#"
            10:00:00  high      memory_pressure, python3 (pid 812): resident memory grows by 200 MiB/s
            10:00:00  high      memory_pressure, python3 (pid 812): now high: resident memory grows by 200 MiB/s
            10:00:00  over      memory_pressure, python3 (pid 812): over after 12 s, at its worst critical
            10:00:00  incident  019a9b1c-2d3e opened: python3 (pid 812) eats the memory
            10:00:00  incident  019a9b1c-2d3e being worked on: python3 (pid 812) eats the memory
            10:00:00  decide    019a9b1c-2d3e cpu_hog, 0.87 sure. lower_process_priority pid=812
            10:00:00  note      an action of the run before was taken back
            10:00:00  event     {"at_ns":5,"process":{"pid":812,"start_ticks":53412},"comm":"python3","cgroup_id":1,"event":"rss_step","rss_bytes":1073741824}"#]],
    );
}

#[test]
fn a_line_of_news_is_no_wider_than_the_terminal() {
    let long = News::Note { text: "word ".repeat(100) };
    for (width, columns) in [(None, 240), (Some(60), 60)] {
        let line = strip_str(&watch::line(&long, &Eyes { width, ..eyes() })).to_string();
        assert_eq!(line.chars().count(), columns, "{line}");
        assert!(line.ends_with('…'));
    }
}

#[test]
fn the_level_is_told_with_what_it_was() {
    let text = |before, now| autonomy::text(&set_autonomy::Answer { before, now });
    assert_eq!(text(Autonomy::Advisor, Autonomy::Guardian), "The level is guardian now; it was advisor.");
    assert_eq!(text(Autonomy::Agent, Autonomy::Agent), "The level is agent already.");
}

#[test]
fn the_doctor_says_what_works_without_and_how_to_mend() {
    let report = doctor::Report {
        can_run: false,
        checks: vec![
            Check { name: "kernel", health: Health::Good, found: "6.18.0".to_owned(), without: None, mend: None },
            Check {
                name: "pressure (PSI)",
                health: Health::Lacking,
                found: "/proc/pressure is not there".to_owned(),
                without: Some("pressure is judged by what else is known, and later".to_owned()),
                mend: Some("start the kernel with psi=1".to_owned()),
            },
            Check {
                name: "state directory",
                health: Health::Fatal,
                found: "/x cannot be written".to_owned(),
                without: Some("without a database there is no undo journal".to_owned()),
                mend: Some("run as root".to_owned()),
            },
        ],
    };
    check(
        &doctor::text(&report, &eyes()),
        expect![[r#"
        ✓ kernel            6.18.0
        ! pressure (PSI)    /proc/pressure is not there
                            pressure is judged by what else is known, and later
                            to mend: start the kernel with psi=1
        ✗ state directory   /x cannot be written
                            without a database there is no undo journal
                            to mend: run as root

        The agent cannot run here, for 1 reason (✗)."#]],
    );
}

#[test]
fn numbers_are_said_as_people_say_them() {
    let said: Vec<String> = [
        ("rss_bytes", 1_610_612_736.0),
        ("growth_bytes_per_s", 209_715_200.0),
        ("psi_some_percent", 35.21),
        ("latency_ns", 12_345.0),
        ("run_queue_p99_ns", 4_200_000.0),
        ("wait_ms", 1500.0),
        ("faults_per_s", 123_456.7),
        ("ratio", 0.0321),
        ("count", 0.0),
        ("tiny", 0.000_012),
        ("psi_some_percent", f64::NAN),
    ]
    .into_iter()
    .map(|(measure, value)| eyes::measured(measure, value))
    .collect();
    assert_eq!(
        said,
        [
            "1.5 GiB",
            "200 MiB/s",
            "35.2 %",
            "12.3 µs",
            "4.2 ms",
            "1.5 s",
            "123,457/s",
            "0.032",
            "0",
            "1.2e-5",
            "unknown %"
        ]
    );
    let times: Vec<String> = [0.25, 12.0, 60.0, 185.0, 7800.0, 273_600.0].into_iter().map(eyes::duration).collect();
    assert_eq!(times, ["250 ms", "12 s", "1 min", "3 min 5 s", "2 h 10 min", "3 d 4 h"]);
    assert_eq!(eyes().when(NOW_MS - 86_400_000), "2026-11-20 10:00:00 (1 d ago)");
    assert_eq!(eyes().ago(NOW_MS + 90_000), "in 1 min 30 s");
}

#[test]
fn changes_show_what_was_before_and_what_came_after() {
    let cgroup = Entity::Cgroup { path: "/web.service".into() };
    let setting = |of, what: &'static str, before: &str, after: &str| Setting {
        at_ms: NOW_MS - 90_000,
        of,
        what: what.into(),
        before: before.to_owned(),
        after: after.to_owned(),
    };
    let row = |name: Option<&str>, started, ended| ComingsAndGoings {
        minute_ms: NOW_MS - 120_000,
        name: name.map(Into::into),
        cgroup: name.map(|_| "/build".into()),
        started,
        ended,
        last_pid: 900,
    };
    let mut answer = diff_state::Answer {
        from_ms: NOW_MS - 600_000,
        to_ms: NOW_MS,
        settings: vec![
            setting(Some(cgroup), "memory.max", "none", "536870912 bytes"),
            setting(None, "net.core.somaxconn", "4096", "128"),
        ],
        actions: vec![diff_state::Action {
            action: 3,
            at_ms: NOW_MS - 30_000,
            what: "lower_process_priority(pid 812, priority 10)".to_owned(),
            command: "renice -n 10 -p 812".to_owned(),
        }],
        processes: vec![row(Some("cc1"), 340, 338), row(None, 0, 7)],
        unknown: Vec::new(),
    };
    check(
        &changes::text(&answer, &eyes()),
        expect![[r#"
        From 09:50:00 to 10:00:00

        WHEN                       WHAT                OF                   BEFORE  AFTER
        09:58:30 (1 min 30 s ago)  memory.max          cgroup /web.service  none    536870912 bytes
        09:58:30 (1 min 30 s ago)  net.core.somaxconn  node                 4096    128

        WHEN                 ACTION  DONE BY THIS AGENT
        09:59:30 (30 s ago)  3       renice -n 10 -p 812

        MINUTE    PROCESSES  CGROUP  BEGAN  ENDED  LAST PID
        09:58:00  cc1        /build  340    338    900
        09:58:00  others                    7      900"#]],
    );
    answer.settings.clear();
    answer.actions.clear();
    answer.processes.clear();
    check(
        &changes::text(&answer, &eyes()),
        expect!["Nothing changed from 09:50:00 to 10:00:00, as far as this agent sees."],
    );
}
