//! `archive`: tar, gzip and sync of a tree, over and over; a backup is no fault.

use std::{fs, io::Write as _, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Load, check_as,
    ground::{Ground, text},
    settings_of,
};

pub(super) const LOAD: Load = Load { name: "archive", check: check_as::<Settings>, run };

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    files: u64,
    file_kb: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { files: 1000, file_kb: 96 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    let directory = ground.directory()?;
    ground.started(&[])?;
    let tree = directory.join("tree");
    plant(&tree, &settings)?;
    let archive = text(&directory.join("tree.tar.gz"));
    let mut archives = 0;
    while !ground.over() {
        let tar = format!("tar -C {} -cf - tree | gzip -6 > {archive} && sync {archive}", text(&directory));
        // Its own group of commands; it is waited for by asking, so that the end of the load is not late.
        let shell = ground.adopt(Command::new("/bin/sh").args(["-c", &tar]))?;
        let id = shell.id();
        while !ground.stop().nap(std::time::Duration::from_millis(20)) {
            let Some(status) = ground.wait_for(id)? else {
                ground.report(|_| json!({ "archives": archives }))?;
                continue;
            };
            if !status.success() {
                bail!("the archive could not be written ({status})");
            }
            archives += 1;
            break;
        }
    }
    Ok(())
}

/// Files of lines that compress like text.
fn plant(tree: &Path, settings: &Settings) -> Result<()> {
    for number in 0..settings.files {
        let directory = tree.join(format!("d{}", number % 32));
        fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
        let mut file = fs::File::create(directory.join(format!("f{number}")))?;
        let mut noise = number.wrapping_add(1);
        let mut text = Vec::with_capacity(usize::try_from(settings.file_kb)? << 10);
        while text.len() < usize::try_from(settings.file_kb)? << 10 {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            writeln!(text, "record {number} value {:x} state ok", noise >> 24)?;
        }
        file.write_all(&text)?;
    }
    Ok(())
}
