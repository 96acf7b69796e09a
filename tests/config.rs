//! The settings file: what it may say, and what is said of one that is wrong.

use std::path::Path;

use expect_test::{Expect, expect};
use kernelsight::{
    config::Settings,
    llm::{PROVIDERS, usual_model},
};

fn check(text: &str, expected: Expect) {
    let read = Settings::parse(text, Path::new("kernelsight.toml")).and_then(Settings::checked);
    expected.assert_eq(&match read {
        Ok(settings) => format!("{} {:?}", settings.tick_ms, settings.policies),
        Err(error) => error.to_string(),
    });
}

#[test]
fn a_value_out_of_its_range_is_named_with_the_range() {
    check("tick_ms = 200", expect!["200 None"]);
    check("tick_ms = 199", expect!["`tick_ms` is 199; it must be 200 to 60000"]);
    check(
        "[store]\nmax_bytes = 16777215",
        expect!["`store.max_bytes` is 16777215; it must be at least 16777216 (16 MiB)"],
    );
}

#[test]
fn a_model_is_set_with_what_it_needs_and_may_cost() {
    check("[model]\nprovider = 'gemini'", expect!["1000 None"]);
    check(
        "[model]\nprovider = 'openai'",
        expect!["`model.model` is missing; it must be the name of a model of that provider"],
    );
    check("[model]\nprovider = 'ollama'\nmodel = 'qwen3'\nbase_url = 'http://10.0.0.7:11434'", expect!["1000 None"]);
    check(
        "[model]\nprovider = 'gemini'\nbase_url = 'file:///etc'",
        expect!["`model.base_url` is file:///etc; it must be a URL of https or http"],
    );
    check("[model]\ndeadline_s = 0", expect!["`model.deadline_s` is 0; it must be 1 to 600"]);
    check("[model]\nturns = 51", expect!["`model.turns` is 51; it must be 1 to 50"]);
    check("[model]\nreply_tokens = 1", expect!["`model.reply_tokens` is 1; it must be 256 to 65536"]);
    check(
        "[model.budget]\nmonth_usd = 20.0",
        expect!["`model.budget.price` is missing; it must be given, because model.budget.month_usd is"],
    );
    check(
        "[model.budget]\nmonth_usd = -1.0",
        expect!["`model.budget.month_usd` is -1; it must be a number of US dollars, 0 or more"],
    );
    check("[model.budget]\nmonth_usd = 20.0\nprice = { input = 2.0, output = 12.0 }", expect!["1000 None"]);
}

#[test]
fn a_key_is_that_of_a_provider() {
    check("[model.keys]\ngemini = '/etc/keys/gemini'\nollama = '/etc/keys/ollama'", expect!["1000 None"]);
    check(
        "[model.keys]\ngoogle = '/etc/keys/gemini'",
        expect![[r#"
        kernelsight.toml is not right: TOML parse error at line 2, column 1
          |
        2 | google = '/etc/keys/gemini'
          | ^^^^^^
        unknown variant `google`, expected one of `gemini`, `openai`, `anthropic`, `ollama`
    "#]],
    );
}

#[test]
fn every_path_is_absolute() {
    for key in ["state_dir", "socket", "policies", "actors", "reasoner", "model.key_file"] {
        let read = Settings::parse(&format!("{key} = 'x'"), Path::new("kernelsight.toml")).unwrap();
        let refused = read.checked().unwrap_err().to_string();
        assert_eq!(refused, format!("`{key}` is x; it must be an absolute path"));
    }
    for provider in PROVIDERS {
        let read = Settings::parse(&format!("[model.keys]\n{provider} = 'x'"), Path::new("kernelsight.toml")).unwrap();
        let refused = read.checked().unwrap_err().to_string();
        assert_eq!(refused, format!("`model.keys.{provider}` is x; it must be an absolute path"));
    }
    check("policies = '/etc/kernelsight/policies'", expect![[r#"1000 Some("/etc/kernelsight/policies")"#]]);
}

#[test]
fn a_key_that_there_is_none_of_is_told_with_its_line() {
    check(
        "tick_ms = 500\nticks = 1\n",
        expect![[r#"
            kernelsight.toml is not right: TOML parse error at line 2, column 1
              |
            2 | ticks = 1
              | ^^^^^
            unknown field `ticks`, expected one of `state_dir`, `socket`, `autonomy`, `policies`, `actors`, `reasoner`, `tick_ms`, `watch_calls`, `store`, `model`
        "#]],
    );
}

/// The file that users copy from, with every setting.
const SAMPLE: &str = include_str!("../systemd/kernelsight.toml");

/// It with each setting in force: what stands after a `#` without a space.
fn all_in_force() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with(' ') => setting.to_owned(),
        _ => line.to_owned(),
    };
    SAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_sample_sets_nothing_and_tells_the_defaults() {
    let read = |text: &str| Settings::parse(text, Path::new("sample")).and_then(Settings::checked).unwrap();
    assert_eq!(read(SAMPLE), Settings::default());
    let (told, default) = (read(&all_in_force()), Settings::default());
    let budget = |settings: &Settings| {
        let budget = &settings.model.budget;
        (budget.incident_tokens, budget.hour_tokens, budget.month_tokens)
    };
    let model = |settings: &Settings| {
        let model = &settings.model;
        (model.decide, model.specialists, model.deadline_s, model.turns, model.reply_tokens)
    };
    assert_eq!((told.tick_ms, told.watch_calls), (default.tick_ms, default.watch_calls));
    assert_eq!(told.store, default.store);
    assert_eq!((model(&told), budget(&told)), (model(&default), budget(&default)));
    assert_eq!(told.model.consult, default.model.consult);
    // With no provider there is no default to tell; that of Gemini is.
    assert_eq!(told.model.model.as_deref(), usual_model("gemini"));
}

#[test]
fn the_sample_has_every_setting() {
    for section in ["", "[store]", "[model]", "[model.budget]", "[model.budget.price]"] {
        let told = Settings::parse(&format!("{section}\nno_such = 1"), Path::new("x")).unwrap_err().to_string();
        let known = told.split_once("expected one of ").unwrap_or_else(|| panic!("{told}")).1;
        for key in known.split('`').skip(1).step_by(2) {
            let is_it =
                |line: &str| line.starts_with(&format!("#{key} = ")) || line.starts_with(&format!("#[model.{key}]"));
            let is_section = SAMPLE.contains(&format!("#[{key}]")) || SAMPLE.contains(&format!(".{key}]"));
            assert!(SAMPLE.lines().any(is_it) || is_section, "{section} {key}");
        }
    }
}
