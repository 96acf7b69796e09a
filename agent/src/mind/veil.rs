//! The veil: what strangers called their things reaches a model as placeholders, and a placeholder that it gives back is
//! resolved here alone. A model needs to tell things apart and to know their kind and numbers; what they are called is
//! where somebody could speak to it.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::redact;

/// What is veiled, by the key that it stands under; the placeholder's beginning tells the kind.
const VEILED: [(&str, &str); 14] = [
    // A long identity is hidden as what may be a secret; under this name it can be asked about.
    ("incident", "incident"),
    ("uid", "incident"),
    ("comm", "program"),
    ("name", "program"),
    ("cgroup", "/cgroup"),
    ("cgroups_below", "/cgroup"),
    ("children", "/cgroup"),
    ("path", "/path"),
    ("unit", "unit"),
    ("units", "unit"),
    ("dependents", "unit"),
    ("device", "device"),
    ("interface", "interface"),
    ("file", "/path"),
];
/// What is written by people in free text, and is not for a model.
const LEFT_OUT: [&str; 3] = ["notes", "holds", "arguments"];
/// Shorter names are veiled where they stand alone, and not in the middle of a sentence, where they are words.
const SHORTEST_IN_TEXT: usize = 3;
/// Programs that everybody knows: what one is called helps, and cannot be made to say anything.
const KNOWN: [&str; 48] = [
    "apache2",
    "bash",
    "cargo",
    "cc1",
    "cc1plus",
    "chronyd",
    "containerd",
    "cron",
    "dbus-daemon",
    "dd",
    "dockerd",
    "envoy",
    "etcd",
    "fio",
    "gcc",
    "git",
    "go",
    "grafana",
    "haproxy",
    "httpd",
    "init",
    "java",
    "journald",
    "kswapd0",
    "kubelet",
    "make",
    "mariadbd",
    "memcached",
    "mongod",
    "mysqld",
    "nginx",
    "node",
    "perl",
    "php-fpm",
    "postgres",
    "prometheus",
    "python",
    "python3",
    "qemu",
    "redis-server",
    "rsync",
    "rsyslogd",
    "ruby",
    "rustc",
    "sh",
    "sshd",
    "systemd",
    "tar",
];

/// What stands for what, for as long as one case is open. As JSON: what each placeholder stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Veil {
    cover: HashMap<String, String>,
    /// Ordered, so that two walks over the same answer say the same.
    real: BTreeMap<String, String>,
}

impl From<BTreeMap<String, String>> for Veil {
    fn from(real: BTreeMap<String, String>) -> Self {
        let cover = real.iter().map(|(cover, real)| (real.clone(), cover.clone())).collect();
        Self { cover, real }
    }
}

impl From<Veil> for BTreeMap<String, String> {
    fn from(veil: Veil) -> Self {
        veil.real
    }
}

impl Veil {
    /// The placeholder of something of that kind; a new one when it was not seen before.
    pub fn learn(&mut self, kind: &'static str, real: &str) -> String {
        if real.is_empty() || real == "/" || KNOWN.contains(&real) {
            return real.to_owned();
        }
        if let Some(cover) = self.cover.get(real) {
            return cover.clone();
        }
        let of_kind = |cover: &&String| cover.strip_prefix(kind).is_some_and(|rest| rest.starts_with('-'));
        let cover = format!("{kind}-{}", self.real.keys().filter(of_kind).count() + 1);
        self.cover.insert(real.to_owned(), cover.clone());
        self.real.insert(cover.clone(), real.to_owned());
        cover
    }

    /// The answer as a model may see it.
    pub fn cover(&mut self, answer: &Value) -> Value {
        self.learn_from(answer, None);
        // The longest first: a path is not to be broken up by a name within it.
        let mut names: Vec<(String, String)> =
            self.cover.iter().map(|(real, cover)| (real.clone(), cover.clone())).collect();
        names.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        walk(answer, &|text| covered(text, &names))
    }

    /// The same for a sentence.
    #[must_use]
    pub fn cover_text(&mut self, text: &str) -> String {
        match self.cover(&Value::String(text.to_owned())) {
            Value::String(covered) => covered,
            _ => String::new(),
        }
    }

    /// Parameters as a tool takes them: each string that is a placeholder is what it stands for.
    #[must_use]
    pub fn uncover(&self, params: &Map<String, Value>) -> Map<String, Value> {
        let resolve = |text: &str| self.real.get(text).cloned().unwrap_or_else(|| text.to_owned());
        params.iter().map(|(key, value)| (key.clone(), walk(value, &resolve))).collect()
    }

    /// What a model said, for people: each placeholder within it is what it stands for.
    #[must_use]
    pub fn uncover_text(&self, text: &str) -> String {
        let mut names: Vec<(&String, &String)> = self.real.iter().collect();
        // `program-12` before `program-1`.
        names.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        names.into_iter().fold(text.to_owned(), |text, (cover, real)| replaced(&text, cover, real))
    }

    /// Learns what stands under the keys that name things.
    fn learn_from(&mut self, value: &Value, under: Option<&'static str>) {
        match value {
            Value::String(real) => {
                if let Some(kind) = under {
                    self.learn(kind, real);
                }
            }
            Value::Array(all) => all.iter().for_each(|one| self.learn_from(one, under)),
            Value::Object(fields) => {
                for (key, value) in fields {
                    let kind = VEILED.iter().find(|(name, _)| name == key).map(|(_, kind)| *kind);
                    self.learn_from(value, kind);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// The same value with each string as `say` says it, without what is left out.
fn walk(value: &Value, say: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(say(text)),
        Value::Array(all) => all.iter().map(|one| walk(one, say)).collect(),
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(key, _)| !LEFT_OUT.contains(&key.as_str()));
            Value::Object(kept.map(|(key, value)| (key.clone(), walk(value, say))).collect())
        }
        other => other.clone(),
    }
}

fn covered(text: &str, names: &[(String, String)]) -> String {
    if let Some((_, cover)) = names.iter().find(|(real, _)| real == text) {
        return cover.clone();
    }
    let mut covered = text.to_owned();
    for (real, cover) in names.iter().filter(|(real, _)| real.len() >= SHORTEST_IN_TEXT) {
        if covered.contains(real.as_str()) {
            covered = replaced(&covered, real, cover);
        }
    }
    redact::text(&covered)
}

/// Each occurrence that is no part of a longer word.
fn replaced(text: &str, real: &str, cover: &str) -> String {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(real) {
        let (before, after) = (&rest[..at], &rest[at + real.len()..]);
        let left = before.chars().next_back().or_else(|| done.chars().next_back());
        let joined = (real.starts_with(is_of_word) && left.is_some_and(is_of_word))
            || (real.ends_with(is_of_word) && after.starts_with(is_of_word));
        done += before;
        done += if joined { real } else { cover };
        rest = after;
    }
    done + rest
}
