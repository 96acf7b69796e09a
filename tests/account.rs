//! What models may cost, while several turns are under way and after some failed.

use kernelsight::{
    llm::{Finish, Reply, Usage},
    mind::{
        account::Account,
        brief::{Asking, Turn},
        budget::{Budget, Price, Spent},
    },
    store::{Limits, Store, TurnRow},
};

use crate::store_rows::NOW_MS;

const CASE: i64 = 7;

fn asking(voice: &str, input_tokens: u64, output_tokens: u64) -> Asking {
    let estimate = Usage { input_tokens, output_tokens, cached_tokens: 0 };
    Asking { voice: voice.to_owned(), number: 0, digest: format!("digest of {voice}"), estimate }
}

fn turn(voice: &str) -> Turn {
    Turn {
        voice: voice.to_owned(),
        number: 0,
        digest: format!("digest of {voice}"),
        sent: Vec::new(),
        reply: None,
        failed: None,
        took_ms: 900,
        cached: false,
    }
}

fn answered(voice: &str, usage: Usage) -> Turn {
    Turn { reply: Some(Reply { parts: Vec::new(), finish: Finish::Stop, usage }), ..turn(voice) }
}

fn failed(voice: &str, kind: &str) -> Turn {
    Turn { failed: Some(kind.to_owned()), ..turn(voice) }
}

/// None but that of an hour.
fn hourly(tokens: u64) -> Budget {
    Budget { incident_tokens: None, hour_tokens: Some(tokens), month_tokens: None, ..Budget::default() }
}

#[test]
fn what_is_under_way_counts_as_spent_until_it_is_recorded() {
    let (mut account, budget, spent) = (Account::default(), hourly(1000), Spent::default());
    let asks = |account: &mut Account, voice: &str| {
        account.reserve(CASE, asking(voice, 300, 100), &spent, &budget).map_err(|why| why.to_string())
    };
    assert_eq!((asks(&mut account, "cpu"), asks(&mut account, "memory")), (Ok(()), Ok(())));
    let why = asks(&mut account, "storage").unwrap_err();
    assert_eq!(
        why,
        "the budget of this hour is spent: 800 tokens of 1000 tokens, and this would take about 400 tokens more"
    );
    // Of another case, too: the hour is everybody's.
    assert!(account.reserve(CASE + 1, asking("storage", 300, 100), &spent, &budget).is_err());
    account.release(CASE, "digest of cpu");
    assert_eq!(asks(&mut account, "storage"), Ok(()));
}

#[test]
fn each_limit_counts_what_is_under_way_and_that_of_an_incident_its_own_alone() {
    let price = Some(Price { input: 1_000_000.0, output: 0.0, cached: None });
    let none = Budget { incident_tokens: None, hour_tokens: None, month_tokens: None, month_usd: None, price };
    let second = |budget: Budget, case: i64| {
        let mut account = Account::default();
        account.reserve(CASE, asking("cpu", 60, 0), &Spent::default(), &budget).unwrap();
        account.reserve(case, asking("memory", 60, 0), &Spent::default(), &budget).map_err(|why| why.to_string())
    };
    assert_eq!(second(none.clone(), CASE), Ok(()));
    let refused = |budget| second(budget, CASE).unwrap_err();
    assert!(refused(Budget { incident_tokens: Some(100), ..none.clone() }).contains("of this incident is spent: 60"));
    assert!(refused(Budget { month_tokens: Some(100), ..none.clone() }).contains("of thirty days is spent: 60"));
    assert!(refused(Budget { month_usd: Some(100.0), ..none.clone() }).contains("of thirty days is spent: $60.00"));
    assert_eq!(second(Budget { incident_tokens: Some(100), ..none }, CASE + 1), Ok(()));
}

#[test]
fn an_estimate_beyond_all_numbers_is_refused_and_so_is_one_turn_too_many() {
    let mut account = Account::default();
    let huge = asking("cpu", u64::MAX, u64::MAX);
    assert!(account.reserve(CASE, huge, &Spent::default(), &hourly(1000)).is_err());
    let nothing = Budget { hour_tokens: None, ..hourly(0) };
    for number in 0..16 {
        account.reserve(CASE, asking(&format!("{number}"), 1, 1), &Spent::default(), &nothing).unwrap();
    }
    let why = account.reserve(CASE, asking("one more", 1, 1), &Spent::default(), &nothing).unwrap_err();
    assert_eq!(why.to_string(), "16 turns are under way already");
}

#[test]
fn a_turn_that_failed_counts_what_it_was_sent_unless_nothing_was_taken_in() {
    let mut account = Account::default();
    account.reserve(CASE, asking("cpu", 300, 100), &Spent::default(), &Budget::default()).unwrap();
    let sent = Usage { input_tokens: 300, output_tokens: 0, cached_tokens: 0 };
    for kind in ["late", "failed", "cut", "malformed", "too_long", "of another version"] {
        assert_eq!(account.charge(CASE, &failed("cpu", kind)), sent, "{kind}");
    }
    for kind in ["unreachable", "rate_limited", "refused"] {
        assert_eq!(account.charge(CASE, &failed("cpu", kind)), Usage::default(), "{kind}");
    }
    let real = Usage { input_tokens: 280, output_tokens: 12, cached_tokens: 200 };
    assert_eq!(account.charge(CASE, &answered("cpu", real)), real);
    assert_eq!(account.charge(CASE, &Turn { cached: true, ..answered("cpu", real) }), Usage::default());
    // Nobody let it go, so nobody knows what it was sent.
    assert_eq!(account.charge(CASE + 1, &failed("cpu", "late")), Usage::default());
}

#[test]
fn what_a_failed_turn_counts_for_holds_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), Limits::default()).unwrap();
    let usage = Usage { input_tokens: 300, output_tokens: 0, cached_tokens: 0 };
    let row = TurnRow { case: CASE, at_ms: NOW_MS, turn: failed("cpu", "late"), usage, usd: Some(0.25) };
    store.keep_turn(&row).unwrap();
    store.close().unwrap();
    let (store, _) = Store::open(dir.path(), Limits::default()).unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(reader.turns(CASE).unwrap(), [row]);
    let spent = reader.spent(None, NOW_MS + 1).unwrap();
    assert_eq!((spent.hour_tokens, spent.month_tokens, spent.month_usd), (300, 300, 0.25));
}
