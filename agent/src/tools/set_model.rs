//! `set_model`: which model is asked beside the rules, from the next case on and after a restart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, ask, params::Prose};
use crate::{
    clock::now_ms,
    live::{Daemon, News},
    llm::{self, ModelChoice},
    mind::{MODEL, settings::Provider},
};

#[derive(Debug)]
pub struct SetModel;

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// None: nobody is asked.
    pub provider: Option<Provider>,
    /// None: the provider's own, where it has one.
    pub model: Option<Prose<128>>,
    /// None: the provider's own.
    pub base_url: Option<Prose<512>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub before: Option<ModelChoice>,
    pub now: Option<ModelChoice>,
}

impl Tool for SetModel {
    const NAME: &'static str = "set_model";
    const DESCRIPTION: &'static str = "Sets which model is asked beside the rules, from the next case on: gemini, openai (or \
        what is compatible with it), anthropic, ollama, or nobody. Its key is where the agent's settings say, and goes \
        where it is asked: to `base_url`, where one is given.";
    const TIER: Tier = Tier::Execute;
    const AUDIENCE: Audience = Audience::Admins;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, caller: &Caller, params: Params) -> Result<Answer, ToolError> {
        let now = choice(params).map_err(|problem| ToolError::Params { tool: Self::NAME, problem })?;
        if let Some(why) = daemon.mind.nowhere().filter(|_| now.is_some()) {
            let reason = format!("no model can be asked: {why}; set it there, and start the agent anew");
            return Err(ToolError::Refused { reason });
        }
        let value = serde_json::to_string(&now).map_err(|error| ToolError::Store { problem: error.to_string() })?;
        let by = caller.operator.name.clone();
        ask::write(daemon, move |store| store.keep_setting(MODEL, &value, &by, now_ms())).await?;
        let before = daemon.mind.choice();
        daemon.mind.choose(now.clone());
        let named = now.as_ref().map_or_else(|| "nobody".to_owned(), ModelChoice::to_string);
        daemon.tell(News::Note { text: format!("{} has {named} asked beside the rules", caller.operator.name) });
        Ok(Answer { before, now })
    }
}

fn choice(params: Params) -> Result<Option<ModelChoice>, String> {
    let Params { provider, model, base_url } = params;
    let Some(provider) = provider.map(Provider::name) else {
        let alone = model.is_none() && base_url.is_none();
        return if alone { Ok(None) } else { Err("`provider` is missing".to_owned()) };
    };
    let model = model.map(Prose::into_string).or_else(|| llm::usual_model(provider).map(str::to_owned));
    let model = model.ok_or_else(|| format!("`model` is missing: {provider} has none that is usual"))?;
    let base_url = base_url.map(Prose::into_string);
    if let Some(url) = base_url.as_ref().filter(|url| !url.starts_with("https://") && !url.starts_with("http://")) {
        return Err(format!("`base_url` is {url:?}; it must be a URL of https or http"));
    }
    Ok(Some(ModelChoice { provider: provider.to_owned(), model, base_url }))
}
