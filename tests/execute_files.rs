//! Files and filesystems: what an operator lists is emptied, what is frozen is thawed, and nothing else is touched.

use std::{fs, os::unix::fs::symlink, path::Path};

use kernelsight::execute::Errand;
use serde_json::json;

use crate::{
    execute_support::{Bench, is_root, policy_listing},
    journal_disk::{Mounted, run},
    store_rows::NOW_MS,
};

fn bench(listed: &[&Path]) -> Result<Bench, String> {
    let policy = policy_listing(&format!("[truncate]\npath = {}", json!(listed)));
    Ok(Bench::of(policy.map_err(|error| error.to_string())?))
}

fn why(bench: &Bench, path: &Path) -> String {
    let denied = bench.judge("truncate_file", json!({ "path": path })).unwrap_err();
    format!("{}: {denied}", denied.denial().rule)
}

#[test]
fn a_listed_file_is_emptied_and_no_other() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let at = |name: &str| dir.path().join(name);
    let (log, other, link, twice, empty) = (at("app.log"), at("other.log"), at("link"), at("twice"), at("empty"));
    for file in [&log, &other, &twice] {
        fs::write(file, "line\n".repeat(1000)).unwrap();
    }
    fs::write(&empty, "").unwrap();
    symlink(&other, &link).unwrap();
    fs::hard_link(&twice, at("another name")).unwrap();
    let bench = bench(&[&log, &link, &twice, &empty, dir.path(), Path::new("/var/tmp/none.log")]).unwrap();

    // Nobody learns of a file that is not listed whether it is there.
    for unlisted in [&other, Path::new("/root/.ssh/id_rsa"), Path::new("/var/tmp/neither")] {
        assert!(why(&bench, unlisted).starts_with("listed.truncate: "), "{}", why(&bench, unlisted));
    }
    assert!(why(&bench, &link).starts_with("milder: "), "{}", why(&bench, &link));
    assert!(why(&bench, &twice).ends_with(" is no plain file with one name"), "{}", why(&bench, &twice));
    assert!(why(&bench, &empty).contains("already there or milder"), "{}", why(&bench, &empty));
    assert!(why(&bench, dir.path()).starts_with("milder: "), "{}", why(&bench, dir.path()));
    // The operator names it as it is, through no link.
    let around = at("around");
    symlink(dir.path(), &around).unwrap();
    let through = around.join("app.log");
    let bench_through = self::bench(&[&through]).unwrap();
    assert!(why(&bench_through, &through).contains(" is a link, or no directory"), "{}", why(&bench_through, &through));
    assert!(why(&bench, Path::new("/var/tmp/none.log")).contains("there is no /var/tmp/none.log"));
    let outcome = bench.act("truncate_file", json!({ "path": log }));
    assert_eq!(outcome.change, format!("{} 5000 bytes -> empty", log.display()));
    assert_eq!(fs::metadata(&log).unwrap().len(), 0);
    for kept in [&other, &twice] {
        assert_eq!(fs::metadata(kept).unwrap().len(), 5000);
    }
    assert!(bench.undo(&outcome).unwrap_err().to_string().ends_with("what was in the file is gone"));

    // Another file under the same name.
    fs::write(&log, "x").unwrap();
    let permit = bench.judge("truncate_file", json!({ "path": log })).unwrap();
    fs::rename(&other, &log).unwrap();
    let refused = bench.executor.run(permit, &bench.store, &Errand::ordered(), NOW_MS).unwrap_err().to_string();
    assert_eq!(refused, format!("{} is not the one that was found before", log.display()));
    assert_eq!(fs::metadata(&log).unwrap().len(), 5000);
}

#[test]
fn no_list_reaches_the_system() {
    for path in
        ["/etc/passwd", "/usr/bin/env", "/proc/sysrq-trigger", "/var/lib/kernelsight/kernelsight.db", "/dev/sda"]
    {
        let refused = bench(&[Path::new(path)]).err().unwrap();
        assert!(refused.contains("is ever truncated"), "{refused}");
    }
    for path in ["var/log/x", "/var/log/../../etc/passwd", "/var/log/a b", "/var//log"] {
        let refused = bench(&[Path::new(path)]).err().unwrap();
        assert!(refused.contains("is no path that may be named"), "{refused}");
    }
}

#[test]
fn a_frozen_filesystem_takes_writes_again() {
    if !is_root() {
        return;
    }
    let Some(disk) = Mounted::disk(Path::new("/var/tmp"), 8) else { return };
    let bench = bench(&[]).unwrap();
    let place = disk.place.display().to_string();
    let not_frozen = bench.judge("thaw_filesystem", json!({ "path": place })).unwrap();
    let failed = bench.executor.run(not_frozen, &bench.store, &Errand::ordered(), NOW_MS).unwrap();
    assert_eq!(failed.output.trim_end(), format!("{place} is not frozen"));
    run("fsfreeze", &["-f", &place]).unwrap();
    let outcome = bench.act("thaw_filesystem", json!({ "path": place }));
    assert_eq!(outcome.output.trim_end(), format!("{place} takes writes again"));
    // It would wait for ever.
    fs::write(disk.place.join("file"), "written").unwrap();
    fs::create_dir(disk.place.join("directory")).unwrap();
    let denied = bench.judge("thaw_filesystem", json!({ "path": disk.place.join("directory") })).unwrap_err();
    assert!(denied.to_string().starts_with("there is no filesystem mounted at "), "{denied}");
    let denied = bench.judge("thaw_filesystem", json!({ "path": "/proc" })).unwrap_err();
    assert_eq!(denied.to_string(), "/proc is a proc, which is never frozen");
}
