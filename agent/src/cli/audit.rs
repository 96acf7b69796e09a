//! `audit`: whether the journal is as it was written. Needs no daemon, and disturbs none.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};

use super::{
    CliError, Context,
    eyes::{self, Eyes, Mood, counted, paint},
};
use crate::{
    config::Settings,
    store::chain::{self, Head},
};

#[derive(Debug, Args)]
pub struct Audit {
    #[command(subcommand)]
    pub verb: AuditVerb,
}

#[derive(Debug, Subcommand)]
pub enum AuditVerb {
    /// Follow the journal's chain of hashes from its first link to its last; exit 1 where something does not fit.
    Verify(Verify),
}

#[derive(Debug, Args)]
pub struct Verify {
    /// Directory of the database; without one, that of the settings.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// A head that was written down before: the chain must pass through it.
    #[arg(long, value_name = "HEAD")]
    pub through: Option<Head>,
}

impl Audit {
    pub(super) fn run(self, context: &Context) -> Result<ExitCode, CliError> {
        let AuditVerb::Verify(Verify { state_dir, through }) = self.verb;
        let dir = match state_dir {
            Some(dir) => dir,
            None => Settings::load(None).map_err(|error| CliError::Usage { reason: error.to_string() })?.state_dir,
        };
        let audit = chain::verify(&dir, through).map_err(|error| CliError::Failed { reason: error.to_string() })?;
        context.print(&audit, text)?;
        Ok(if audit.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// What was found, for eyes.
#[must_use]
pub fn text(audit: &chain::Audit, _: &Eyes) -> String {
    let size = match audit.links {
        0 => "nothing was done yet".to_owned(),
        links => format!(
            "{} in {}",
            counted(audit.actions as usize, "action", "actions"),
            counted(links as usize, "link", "links")
        ),
    };
    let mut lines = if audit.sound {
        vec![paint(Mood::Good, &format!("The journal is as it was written: {size}."))]
    } else {
        let found = counted(audit.faults.len(), "thing does", "things do");
        let mut lines =
            vec![paint(Mood::Bad, &format!("The journal is not as it was written: {found} not fit; {size}."))];
        lines.extend(audit.faults.iter().map(|fault| format!("  {fault}")));
        lines
    };
    if audit.first_action > 1 {
        lines.push(format!("Actions before {} were removed by age.", audit.first_action));
    }
    if let Some(head) = audit.head {
        lines.push(format!("head  {head}"));
        lines.push("Keep it elsewhere; `--through` compares with it later.".to_owned());
    }
    eyes::finish(&lines.join("\n"))
}
