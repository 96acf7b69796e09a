//! The ways in which a model fails, again and again: what is done is what the rules say, and nobody waits longer than was
//! said.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use kernelsight::{
    decide::{
        Reasoner as _,
        model::{Thinker as _, Together},
    },
    execute::Policy,
    mind::{Ending, ModelSettings, settings::Consult, thinking::Thinking},
};

use crate::{
    llm_server::{Answer, Asked},
    llm_ways::WAYS,
    think_support::{Node, reasoner, settings},
};

/// Of each way.
const TIMES: usize = 20;
/// At once: most of them wait.
const AT_ONCE: usize = 10;
const DEADLINE_S: u64 = 1;
/// What may come on top of the deadline where both CPUs are busy with other tests; on a calm machine `cargo xtask failure
/// --only model` holds it to a tenth of a second.
const ON_TOP: Duration = Duration::from_secs(3);

fn fail_once(script: fn(&Asked, usize) -> Answer) -> (Duration, Ending) {
    let settings = ModelSettings { deadline_s: DEADLINE_S, consult: Consult::Always, ..settings() };
    let node = Node::new(settings, script);
    node.house.runtime.block_on(async {
        let daemon = node.house.daemon.clone();
        let reasoner = tokio::spawn(reasoner(daemon.clone()));
        let thinking = Thinking::new(daemon, Arc::new(Policy::load(None).unwrap()));
        // The rules' own word is there at once, whatever a model does.
        let together = Together::new(Arc::new(thinking.clone()));
        let begun = Instant::now();
        let at_once = together.decide(&node.case).await;
        assert!(begun.elapsed() < ON_TOP, "{:?}", begun.elapsed());
        assert_eq!(at_once.decision, node.rules.decision);
        // The thought is over by its deadline.
        let begun = Instant::now();
        while thinking.recall(&node.case, &node.rules, &node.options).is_none() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let took = begun.elapsed();
        // And what is decided then is what the rules say.
        let then = together.decide(&node.case).await;
        assert_eq!((&then.decision, &then.author), (&node.rules.decision, &node.rules.author));
        reasoner.abort();
        let thought = thinking.recall(&node.case, &node.rules, &node.options).unwrap();
        assert_eq!(thought.proposal, None);
        assert_eq!(node.house.ordered(), Vec::<String>::new());
        (took, node.ending(thought.case))
    })
}

#[test]
fn whatever_fails_the_rules_answer_and_in_time() {
    let failed: Mutex<Vec<String>> = Mutex::default();
    for (name, script) in WAYS {
        let begun = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    while begun.fetch_add(1, Ordering::Relaxed) < TIMES {
                        let (took, ending) = fail_once(script);
                        if took > Duration::from_secs(DEADLINE_S) + ON_TOP {
                            failed.lock().unwrap().push(format!("{name}: over after {took:?}"));
                        }
                        if matches!(ending, Ending::Recommended { .. } | Ending::Answered { .. }) {
                            failed.lock().unwrap().push(format!("{name}: {ending:?}"));
                        }
                    }
                });
            }
        });
    }
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{failed:#?}");
}
