//! Keys: where they are found, and that each goes to its provider alone.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use kernelsight::{
    llm::{self, Conversation, Key, Keys, Message, ModelChoice, PROVIDERS, Places},
    mind::settings::Provider,
};

use crate::llm_server::{Answer, Server};

/// A file with that in it.
fn file(dir: &Path, name: &str, text: &str) -> PathBuf {
    let file = dir.join(name);
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file
}

fn nowhere() -> Places {
    Places { file: None, files: BTreeMap::new(), credentials: None, variable: |_| None }
}

/// Where the key of that provider is found, or why it is not.
fn place(keys: &Keys, provider: &str, configured: Option<&str>) -> Result<Option<String>, String> {
    let found = keys.of(provider, configured).map_err(|error| error.to_string());
    found.map(|key| key.map(|key| Path::new(key.place()).file_name().unwrap().to_string_lossy().into_owned()))
}

fn found(name: &str) -> Result<Option<String>, String> {
    Ok(Some(name.to_owned()))
}

#[test]
fn a_key_is_one_line_that_only_its_owner_can_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let read = |text: &str, mode| {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Key::read(&path).map_err(|error| error.to_string())
    };
    assert!(read("abc123\n", 0o600).is_ok());
    assert!(read("abc123", 0o640).unwrap_err().contains("can be read by others (mode 640)"));
    for wrong in ["", " \n", "two words", "two\nlines", "s\u{fc}\u{df}"] {
        assert!(read(wrong, 0o600).unwrap_err().contains("it must be one line of printable characters"), "{wrong:?}");
    }
    fs::remove_file(&path).unwrap();
    assert!(Key::read(&path).unwrap_err().to_string().contains("cannot be read from"));
}

#[test]
fn the_key_without_a_name_is_that_of_the_provider_in_the_settings_and_of_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::find(&Places { file: Some(file(dir.path(), "general", "abc")), ..nowhere() });
    for provider in PROVIDERS {
        for configured in PROVIDERS {
            let expected = if provider == configured { found("general") } else { Ok(None) };
            assert_eq!(place(&keys, provider, Some(configured)), expected, "{provider}, {configured}");
        }
        assert_eq!(place(&keys, provider, None), Ok(None), "nobody is configured");
    }
    assert_eq!(place(&keys, "nobody", Some("nobody")), Ok(None));
}

#[test]
fn a_key_of_its_own_comes_first() {
    let dir = tempfile::tempdir().unwrap();
    let own = BTreeMap::from([("openai".to_owned(), file(dir.path(), "own", "def"))]);
    let keys = Keys::find(&Places { file: Some(file(dir.path(), "general", "abc")), files: own, ..nowhere() });
    assert_eq!(place(&keys, "openai", Some("openai")), found("own"));
    assert_eq!(place(&keys, "openai", Some("gemini")), found("own"));
    assert_eq!(place(&keys, "gemini", Some("gemini")), found("general"));
    assert_eq!(place(&keys, "anthropic", Some("gemini")), Ok(None));
}

#[test]
fn a_file_comes_before_a_credential_and_that_before_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("model.key", "general"),
        ("model-gemini.key", "own"),
        // What the unit gives where there is none.
        ("model-openai.key", "-"),
        ("model-anthropic.key", "-\n"),
    ] {
        // As systemd makes them.
        fs::set_permissions(file(dir.path(), name, text), fs::Permissions::from_mode(0o440)).unwrap();
    }
    let variable = |name: &str| match name {
        "KERNELSIGHT_GEMINI_KEY" | "KERNELSIGHT_OPENAI_KEY" | "KERNELSIGHT_MODEL_KEY" => Some("xyz".into()),
        _ => None,
    };
    let places = Places { credentials: Some(dir.path().to_owned()), variable, ..nowhere() };
    let keys = Keys::find(&places);
    assert_eq!(place(&keys, "gemini", None), found("model-gemini.key"));
    assert_eq!(place(&keys, "openai", None), found("$KERNELSIGHT_OPENAI_KEY"));
    assert_eq!(place(&keys, "anthropic", None), Ok(None));
    assert_eq!(place(&keys, "anthropic", Some("anthropic")), found("model.key"));
    assert_eq!(place(&keys, "ollama", None), Ok(None));
    let files = BTreeMap::from([("gemini".to_owned(), file(dir.path(), "file", "abc"))]);
    assert_eq!(place(&Keys::find(&Places { files, ..places }), "gemini", None), found("file"));
    let keys = Keys::find(&Places { variable, ..nowhere() });
    assert_eq!(place(&keys, "anthropic", Some("anthropic")), found("$KERNELSIGHT_MODEL_KEY"));
}

#[test]
fn a_key_that_cannot_be_used_is_told_to_who_needs_it_and_hinders_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let open = file(dir.path(), "open", "abc");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let files = BTreeMap::from([
        ("openai".to_owned(), open),
        ("anthropic".to_owned(), dir.path().join("none")),
        ("ollama".to_owned(), file(dir.path(), "words", "two words")),
    ]);
    let keys = Keys::find(&Places { file: Some(file(dir.path(), "general", "abc")), files, ..nowhere() });
    assert_eq!(place(&keys, "gemini", Some("gemini")), found("general"));
    let said = |provider: &str| choose(provider, None, &keys, Some("gemini")).unwrap_err();
    assert!(said("openai").starts_with("openai has a key that cannot be used: "), "{}", said("openai"));
    assert!(said("openai").contains("can be read by others (mode 644)"), "{}", said("openai"));
    assert!(said("anthropic").contains("the key cannot be read from"), "{}", said("anthropic"));
    // That it needs none is no reason to do without one that somebody named.
    assert!(said("ollama").contains("it must be one line"), "{}", said("ollama"));
}

fn choose(provider: &str, base_url: Option<String>, keys: &Keys, configured: Option<&str>) -> Result<(), String> {
    let choice = ModelChoice { provider: provider.to_owned(), model: "x".to_owned(), base_url };
    llm::provider(&choice, keys, configured).map(drop).map_err(|error| error.to_string())
}

#[test]
fn who_has_no_key_is_told_where_to_give_one() {
    let keys = Keys::find(&nowhere());
    let said = choose("openai", None, &keys, Some("openai")).unwrap_err();
    assert_eq!(
        said,
        "openai needs a key; give it as model.keys.openai in the settings, as /etc/kernelsight/model-openai.key where \
         systemd starts the agent, or as KERNELSIGHT_OPENAI_KEY"
    );
    assert!(choose("gemini", Some("http://127.0.0.1:1/".to_owned()), &keys, None).is_err());
    // What speaks as OpenAI does, somewhere else, may need none.
    assert_eq!(choose("openai", Some("http://127.0.0.1:1/v1/".to_owned()), &keys, None), Ok(()));
    assert_eq!(choose("ollama", None, &keys, None), Ok(()));
    let said = choose("skynet", None, &keys, None).unwrap_err();
    assert_eq!(said, "skynet is no provider; there are gemini, openai, anthropic, ollama");
}

#[test]
fn no_provider_is_sent_the_key_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let own = BTreeMap::from([("openai".to_owned(), file(dir.path(), "openai", "CANARY-openai"))]);
    let general = Some(file(dir.path(), "general", "CANARY-gemini"));
    let keys = Keys::find(&Places { file: general, files: own, ..nowhere() });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let sent = |provider: &str| {
        runtime.block_on(async {
            let server = Server::saying(Answer::Status(400, Vec::new(), "no".to_owned()));
            let base_url = Some(format!("{}/v1/", server.url()));
            let choice = ModelChoice { provider: provider.to_owned(), model: "x".to_owned(), base_url };
            let provider = llm::provider(&choice, &keys, Some("gemini")).unwrap();
            let messages = vec![Message::User { text: "What is wrong?".to_owned() }];
            let conversation = Conversation { messages, reply_tokens: 16, ..Conversation::default() };
            provider.turn(&conversation, Duration::from_secs(20), &mut |_| {}).await.unwrap_err();
            format!("{:?}", server.asked())
        })
    };
    for (provider, key, other) in
        [("gemini", "CANARY-gemini", "CANARY-openai"), ("openai", "CANARY-openai", "CANARY-gemini")]
    {
        let sent = sent(provider);
        assert!(sent.contains(key) && !sent.contains(other), "{provider}: {sent}");
    }
    // It has none, and needs none: nothing is sent in its place.
    assert!(!sent("ollama").contains("CANARY"), "{}", sent("ollama"));
}

#[test]
fn the_names_of_providers_are_the_same_everywhere() {
    let settings = [Provider::Gemini, Provider::Openai, Provider::Anthropic, Provider::Ollama];
    assert_eq!(settings.map(Provider::name), PROVIDERS);
    assert_eq!(settings.map(Provider::key_setting), PROVIDERS.map(|name| format!("model.keys.{name}")));
    let variables: Vec<String> = llm::key_variables().collect();
    assert_eq!(variables[..2], ["KERNELSIGHT_MODEL_KEY", "KERNELSIGHT_GEMINI_KEY"]);
    assert_eq!(variables.len(), 1 + PROVIDERS.len());
}
