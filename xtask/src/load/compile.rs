//! `compile`: the C compiler over generated files, as many at once as there are CPUs; a build is no fault.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Load, check_as, cpus,
    ground::{Ground, Stop, text},
    settings_of,
};

pub(super) const LOAD: Load = Load { name: "compile", check: check_as::<Settings>, run };

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// None: one for each CPU.
    jobs: Option<usize>,
    functions: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { jobs: None, functions: 400 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    let directory = ground.directory()?;
    ground.started(&[])?;
    let compiled = Arc::new(AtomicU64::new(0));
    let jobs: Vec<_> = (0..settings.jobs.unwrap_or(cpus()))
        .map(|job| {
            let source = directory.join(format!("job{job}.c"));
            fs::write(&source, c_program(settings.functions)).map(|()| {
                let (stop, compiled) = (ground.stop(), Arc::clone(&compiled));
                thread::spawn(move || build(&stop, &source, &compiled))
            })
        })
        .collect::<Result<_, _>>()?;
    while !ground.stop().nap(std::time::Duration::from_millis(100)) && jobs.iter().all(|job| !job.is_finished()) {
        ground.report(|_| json!({ "compiled": compiled.load(Ordering::Relaxed) }))?;
    }
    if ground.over() {
        ground.dismiss();
    }
    for job in jobs {
        if let Ok(result) = job.join() {
            result?;
        }
    }
    Ok(())
}

fn build(stop: &Stop, source: &PathBuf, compiled: &AtomicU64) -> Result<()> {
    while !stop.over() {
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-w", "-c", "-o", &text(&source.with_extension("o"))]).arg(source);
        let status = cc.status().context("`cc` cannot be started")?;
        if !status.success() && !stop.over() {
            bail!("cc failed on {} ({status})", source.display());
        }
        compiled.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// A program that takes the optimiser a second or so.
pub(crate) fn c_program(functions: usize) -> String {
    let function = |n: usize| {
        format!(
            "double f{n}(double *a, int k) {{ double s = {n}; for (int i = 0; i < k; i++) \
             for (int j = 0; j < k; j++) {{ s += a[i] * a[j] / (s + {n}.5); if (s > 1e9) s -= a[(i + j) % k]; }} return s; }}\n"
        )
    };
    (0..functions).map(function).collect()
}
