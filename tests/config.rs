//! The settings file: what it may say, and what is said of one that is wrong.

use std::path::Path;

use expect_test::{Expect, expect};
use kernelsight::config::Settings;

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
fn every_path_is_absolute() {
    for key in ["state_dir", "socket", "policies", "actors"] {
        let read = Settings::parse(&format!("{key} = 'x'"), Path::new("kernelsight.toml")).unwrap();
        let refused = read.checked().unwrap_err().to_string();
        assert_eq!(refused, format!("`{key}` is x; it must be an absolute path"));
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
            unknown field `ticks`, expected one of `state_dir`, `socket`, `autonomy`, `policies`, `actors`, `tick_ms`, `watch_calls`, `store`
        "#]],
    );
}
