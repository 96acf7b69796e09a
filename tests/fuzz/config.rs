//! What an operator writes: the settings and the policies. A file is refused with the place that is wrong in it, or it
//! means what a second reading of it says, and loosens nothing that no file may.
//!
//! The first line names the file: `# thresholds`, and so on.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use kernelsight::{
    config::{Settings, WatchCalls},
    execute::{Limits, Policy, catalogue},
    live::Autonomy,
    mind::{
        ModelSettings,
        budget::{Budget, Price},
        settings::{Consult, Decide, Provider},
    },
    observe::{
        Severity,
        classify::{Threshold, Thresholds, measure},
    },
};
use toml::{Table, Value};

use crate::hostile_oracle::line_is_canonical;

const PROTECTED: &str = include_str!("../../policies/protected.toml");
const AUTONOMY: &str = include_str!("../../policies/autonomy.toml");
/// All commands take long to compile.
const NO_COMMANDS: &str = "max_line_bytes = 640\nallow = []\nforbid = []";

/// Where no file lets anything be emptied.
const NEVER_EMPTIED: [&str; 11] =
    ["/bin/", "/boot/", "/dev/", "/etc/", "/lib/", "/proc/", "/root/", "/sbin/", "/sys/", "/usr/", "/var/lib/"];

pub(crate) fn check(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let heading = text.lines().next().unwrap_or_default();
    let error = match heading {
        "# commands" => commands(text),
        "# protected" => protected(text),
        "# autonomy" => autonomy(text),
        "# listed" => listed(text),
        "# limits" => limits(text),
        "# thresholds" => thresholds(text),
        _ => settings(text),
    };
    let Err(error) = error else { return true };
    assert!(names_a_place(&error), "{heading}: nobody finds the place by: {error}");
    false
}

/// A line's number, or a key or a value of the file between backquotes.
fn names_a_place(error: &str) -> bool {
    let numbered = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    error.split("line ").skip(1).any(numbered) || error.matches('`').count() >= 2
}

fn settings(text: &str) -> Result<(), String> {
    let read = Settings::parse(text, Path::new("kernelsight.toml")).and_then(Settings::checked);
    match (read, second_reading(text)) {
        (Ok(settings), Some(second)) => {
            assert_eq!(settings, second);
            Ok(())
        }
        (Err(error), None) => Err(error.to_string()),
        (read, second) => panic!("{read:?} is not {second:?}"),
    }
}

/// What the settings should be; none when they should be refused.
fn second_reading(text: &str) -> Option<Settings> {
    let absolute = |value: &Value| value.as_str().map(PathBuf::from).filter(|path| path.is_absolute());
    let number = |value: &Value| value.as_integer().and_then(|number| u32::try_from(number).ok());
    let mut settings = Settings::default();
    for (key, value) in text.parse::<Table>().ok()? {
        match key.as_str() {
            "state_dir" => settings.state_dir = absolute(&value)?,
            "socket" => settings.socket = absolute(&value)?,
            "policies" => settings.policies = Some(absolute(&value)?),
            "actors" => settings.actors = Some(absolute(&value)?),
            "reasoner" => settings.reasoner = Some(absolute(&value)?),
            "model" => settings.model = model(value.as_table()?)?,
            "tick_ms" => settings.tick_ms = number(&value).filter(|ms| (200..=60_000).contains(ms))?.into(),
            "watch_calls" => {
                let modes = [("on_demand", WatchCalls::OnDemand), ("always", WatchCalls::Always)];
                settings.watch_calls = modes.into_iter().find(|(name, _)| Some(*name) == value.as_str())?.1;
            }
            "autonomy" => {
                let levels = [Autonomy::Advisor, Autonomy::Copilot, Autonomy::Guardian, Autonomy::Agent];
                settings.autonomy = Some(levels.into_iter().find(|level| Some(level.name()) == value.as_str())?);
            }
            "store" => {
                for (key, value) in value.as_table()? {
                    match key.as_str() {
                        "max_bytes" => {
                            let bytes = u64::try_from(value.as_integer()?).ok()?;
                            settings.store.max_bytes = Some(bytes).filter(|bytes| *bytes >= 16 << 20)?;
                        }
                        "metrics_hours" => settings.store.metrics_hours = number(value)?,
                        "signals_days" => settings.store.signals_days = number(value)?,
                        "traces_days" => settings.store.traces_days = number(value)?,
                        _ => return None,
                    }
                }
            }
            _ => return None,
        }
    }
    Some(settings)
}

/// The same of `[model]`.
fn model(table: &Table) -> Option<ModelSettings> {
    let number = |value: &Value| value.as_integer().and_then(|number| u32::try_from(number).ok());
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut model = ModelSettings::default();
    for (key, value) in table {
        match key.as_str() {
            "provider" => {
                let all = [Provider::Gemini, Provider::Openai, Provider::Anthropic, Provider::Ollama];
                model.provider = Some(all.into_iter().find(|one| Some(one.name()) == value.as_str())?);
            }
            "model" => model.model = Some(text(value)?),
            "base_url" => {
                let is_web = |url: &String| ["http://", "https://"].iter().any(|start| url.starts_with(start));
                model.base_url = Some(text(value).filter(is_web)?);
            }
            "key_file" => model.key_file = Some(text(value).map(PathBuf::from).filter(|path| path.is_absolute())?),
            "keys" => model.keys = keys(value.as_table()?)?,
            "decide" => {
                let all = [("rules", Decide::Rules), ("model", Decide::Model), ("both", Decide::Both)];
                model.decide = all.into_iter().find(|(name, _)| Some(*name) == value.as_str())?.1;
            }
            "consult" => {
                let all = [("unsure", Consult::Unsure), ("always", Consult::Always)];
                model.consult = all.into_iter().find(|(name, _)| Some(*name) == value.as_str())?.1;
            }
            "specialists" => model.specialists = value.as_bool()?,
            "deadline_s" => model.deadline_s = number(value).filter(|s| (1..=600).contains(s))?.into(),
            "turns" => model.turns = number(value).filter(|turns| (1..=50).contains(turns))?,
            "reply_tokens" => model.reply_tokens = number(value).filter(|count| (256..=65_536).contains(count))?,
            "budget" => model.budget = budget(value.as_table()?)?,
            _ => return None,
        }
    }
    let has_model = model.provider.is_none() || model.provider == Some(Provider::Gemini) || model.model.is_some();
    has_model.then_some(model)
}

fn keys(table: &Table) -> Option<BTreeMap<Provider, PathBuf>> {
    let all = [Provider::Gemini, Provider::Openai, Provider::Anthropic, Provider::Ollama];
    let key = |(name, value): (&String, &Value)| {
        let provider = all.into_iter().find(|one| one.name() == name)?;
        Some((provider, value.as_str().map(PathBuf::from).filter(|path| path.is_absolute())?))
    };
    table.iter().map(key).collect()
}

fn budget(table: &Table) -> Option<Budget> {
    let count = |value: &Value| value.as_integer().and_then(|count| u64::try_from(count).ok());
    let number = |value: &Value| value.as_float().or_else(|| value.as_integer().map(|number| number as f64));
    let sum = |value: &Value| number(value).filter(|sum| sum.is_finite() && *sum >= 0.0);
    let mut budget = Budget::default();
    for (key, value) in table {
        match key.as_str() {
            "incident_tokens" => budget.incident_tokens = Some(count(value)?),
            "hour_tokens" => budget.hour_tokens = Some(count(value)?),
            "month_tokens" => budget.month_tokens = Some(count(value)?),
            "month_usd" => budget.month_usd = Some(sum(value)?),
            "price" => {
                let price = value.as_table()?;
                if price.keys().any(|key| !["input", "output", "cached"].contains(&key.as_str())) {
                    return None;
                }
                let cached = match price.get("cached") {
                    None => None,
                    Some(value) => Some(sum(value)?),
                };
                let (input, output) = (sum(price.get("input")?)?, sum(price.get("output")?)?);
                budget.price = Some(Price { input, output, cached });
            }
            _ => return None,
        }
    }
    (budget.month_usd.is_none() || budget.price.is_some()).then_some(budget)
}

/// Whatever the patterns allow, what may run is a command of the grammar with its numbers in range.
fn commands(text: &str) -> Result<(), String> {
    let policy = Policy::parse(text, PROTECTED, AUTONOMY, "").map_err(|error| error.to_string())?;
    let file = table(text);
    let (allow, forbid) = (rules(&file, "allow"), rules(&file, "forbid"));
    assert_eq!(policy.counts(), (allow.len(), forbid.len()));
    for line in allow.iter().flat_map(|rule| lines(rule, "allows").chain(lines(rule, "denies"))) {
        assert!(!policy.check_command(line).allowed || line_is_canonical(line), "{line:?} may run");
    }
    for line in forbid.iter().flat_map(|rule| lines(rule, "matches")) {
        assert!(!policy.check_command(line).allowed, "{line:?} is forbidden, and may run");
    }
    for pattern in allow.iter().chain(&forbid).filter_map(|rule| rule.get("pattern")?.as_str()) {
        assert!(!turns_a_mode_on(pattern), "{pattern:?} is not what it seems to be");
    }
    Ok(())
}

/// Whether it has a group of flags, one of which lets spaces and comments, or other letters than ASCII's, mean something.
fn turns_a_mode_on(pattern: &str) -> bool {
    pattern.split("(?").skip(1).any(|rest| {
        let flags = rest.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        let is_named = rest.starts_with("P<");
        !is_named && flags.contains(['x', 'u'])
    })
}

fn protected(text: &str) -> Result<(), String> {
    Policy::parse(NO_COMMANDS, text, AUTONOMY, "").map_err(|error| error.to_string())?;
    let file = table(text);
    for name in ["comm", "cgroup", "unit"].into_iter().flat_map(|list| lines(&file, list)) {
        let stars = name.matches('*').count();
        let glob = stars == 1 && name.ends_with('*') && name.len() > 1;
        assert!(glob || stars == 0 && !name.is_empty(), "{name:?} protects by a pattern that is none");
    }
    Ok(())
}

fn autonomy(text: &str) -> Result<(), String> {
    Policy::parse(NO_COMMANDS, PROTECTED, text, "").map_err(|error| error.to_string())?;
    let (file, actions) = (table(text), catalogue());
    for (name, limits) in file["guardian"].as_table().expect("it was read as one") {
        let action = actions.iter().find(|action| action.name == name).expect("no other action is listed");
        for parameter in limits.as_table().expect("it was read as one").keys() {
            let least = &action.parameters["properties"][parameter]["minimum"];
            assert!(least.is_number(), "{parameter} of {name} is no number");
        }
    }
    Ok(())
}

fn listed(text: &str) -> Result<(), String> {
    Policy::parse(NO_COMMANDS, PROTECTED, AUTONOMY, text).map_err(|error| error.to_string())?;
    let file = table(text);
    let of = |section: &str, list: &'static str| -> Vec<String> {
        let section = file.get(section).and_then(Value::as_table);
        section.into_iter().flat_map(|section| lines(section, list)).map(str::to_owned).collect()
    };
    for path in of("truncate", "path") {
        let below = format!("{path}/");
        assert!(NEVER_EMPTIED.iter().all(|never| !below.starts_with(never)), "{path:?} may be emptied");
        assert!(path.starts_with('/') && path.split('/').all(|part| part != ".."), "{path:?} may be emptied");
    }
    for unit in of("restart", "unit") {
        let plain = |c: char| c.is_ascii_alphanumeric() || ":_.@-".contains(c);
        assert!(unit.ends_with(".service") && unit.chars().all(plain), "{unit:?} may be restarted");
    }
    Ok(())
}

fn limits(text: &str) -> Result<(), String> {
    Limits::parse(text).map_err(|error| error.to_string())?;
    let file = table(text);
    let number = |section: &str, key: &str| file[section][key].as_integer().expect("it was read as one");
    for (key, most) in [("node", 120), ("action", 60), ("target", 12), ("same", 6)] {
        assert!((0..=most).contains(&number("per_hour", key)), "per_hour.{key} exceeds what no file may");
    }
    assert!(number("cooldown_s", "target") >= 10 && number("cooldown_s", "node") >= 1);
    assert!((1..=5).contains(&number("brake", "failures")));
    Ok(())
}

/// A part of the file stands in the place of that part of the embedded one, which would be long to write each time.
fn thresholds(text: &str) -> Result<(), String> {
    static EMBEDDED: LazyLock<Table> = LazyLock::new(|| table(include_str!("../../policies/thresholds.toml")));
    let given: Table = match text.parse() {
        Ok(given) => given,
        Err(_) => {
            let error = Thresholds::parse(text, "thresholds.toml").expect_err("it is no TOML");
            return Err(error.to_string());
        }
    };
    let mut whole = EMBEDDED.clone();
    for (signal, measures) in &given {
        match (whole.get_mut(signal), measures) {
            (Some(Value::Table(of)), Value::Table(measures)) => {
                of.extend(measures.iter().map(|(name, row)| (name.clone(), row.clone())));
            }
            _ => drop(whole.insert(signal.clone(), measures.clone())),
        }
    }
    let read = Thresholds::parse(&whole.to_string(), "thresholds.toml").map_err(|error| error.to_string())?;
    for (signal, measures) in given {
        let signal = signal.parse().expect("it was read as one");
        for (name, row) in measures.as_table().expect("it was read as one") {
            let measure = measure(signal, name).expect("no other was read");
            check_threshold(row, read.get(signal, measure.name).expect("each measure has one"));
        }
    }
    Ok(())
}

fn check_threshold(row: &Value, read: &Threshold) {
    let number = |key: &str| row.get(key).and_then(|value| value.as_float().or(value.as_integer().map(|n| n as f64)));
    assert_eq!(read.levels, ["low", "medium", "high", "critical"].map(number));
    let levels: Vec<f64> = read.levels.into_iter().flatten().collect();
    assert!(levels.iter().all(|level| level.is_finite() && *level > 0.0), "{levels:?}");
    assert!((0.0..=3600.0).contains(&read.sustain_s) && (0.0..=3600.0).contains(&read.clear_s), "{read:?}");
    assert!((0.1..=1.0).contains(&read.clear_ratio), "{read:?}");
    // From far below the lowest to far beyond the highest, ever worse.
    let mut values: Vec<f64> = levels.iter().flat_map(|level| [level / 2.0, *level, level * 1.5]).collect();
    values.extend([0.0, f64::MAX]);
    values.sort_by(f64::total_cmp);
    if read.falling {
        values.reverse();
    }
    let mut before = (Severity::None, 0.0);
    for value in values {
        let now = (read.severity(value), read.pressure(value));
        assert!(
            now.0 >= before.0 && now.1 >= before.1 && now.1 <= 1.0,
            "{value} of {read:?}: {now:?} after {before:?}"
        );
        before = now;
    }
}

fn table(text: &str) -> Table {
    text.parse().expect("it was read before")
}

fn rules<'a>(file: &'a Table, list: &str) -> Vec<&'a Table> {
    file[list].as_array().expect("it was read as one").iter().filter_map(Value::as_table).collect()
}

fn lines<'a>(of: &'a Table, list: &str) -> impl Iterator<Item = &'a str> {
    of.get(list).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}
