//! `tools` and `call`: every tool that this user may call, and any of them by name.

use std::str::FromStr;

use clap::Args;
use serde_json::{Map, Value};

use super::{
    CliError, Context,
    actions::Param,
    client::{self, Client},
    eyes::Eyes,
};
use crate::tools::TOOLS;

#[derive(Clone, Copy, Debug, Args)]
pub struct Tools {}

#[derive(Debug, Args)]
pub struct Call {
    /// The tool's name; `kernelsight tools` lists them.
    #[arg(value_name = "TOOL")]
    pub tool: String,
    /// Its parameters, such as `pid=812`; a value that is no word is JSON.
    #[arg(value_name = "KEY=VALUE")]
    pub params: Vec<Param>,
}

impl Tools {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let names = client::runtime()?.block_on(async {
            let client = Client::connect(&context.socket).await?;
            let names = client.tools().await;
            client.close().await;
            names
        })?;
        context.print(&names, |names, eyes| text(names, eyes))
    }
}

/// Those tools for eyes.
#[must_use]
pub fn text(names: &[String], eyes: &Eyes) -> String {
    let known = |name: &String| TOOLS.iter().find(|tool| tool.name == name);
    let rows = names.iter().map(|name| {
        let tier = known(name).map_or("", |tool| tool.tier.name());
        let about = known(name).map_or("a tool of another version", |tool| tool.description);
        [name.clone(), tier.to_owned(), about.to_owned()]
    });
    eyes.table(["TOOL", "TIER", "WHAT FOR"], rows)
}

impl Call {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let params = self.params.into_iter().map(typed).collect::<Map<_, _>>();
        let tool = self.tool;
        let answer = client::runtime()?.block_on(async {
            let client = Client::connect(&context.socket).await?;
            let answer = client.call(&tool, params).await;
            client.close().await;
            answer
        })?;
        super::print(&super::json(&answer, !context.json)?)
    }
}

/// What reads as JSON is that, and all else is a word.
fn typed(param: Param) -> (String, Value) {
    let (key, value) = param.into_parts();
    let typed = Value::from_str(&value).unwrap_or(Value::String(value));
    (key, typed)
}
