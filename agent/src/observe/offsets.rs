//! Where the running kernel keeps its fields, found in its own type information (BTF). Nothing is written down here.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs, io,
    path::Path,
};

use agent_ebpf::constants::Offsets;
use aya::{Btf, Endianness};

/// The running kernel's types.
const RUNNING: &str = "/sys/kernel/btf/vmlinux";
const MAGIC: u16 = 0xeb9f;
/// How the kernel names the type of a tracepoint's handler, and of an iterator.
const TRACEPOINT_PREFIX: &str = "btf_trace_";
const ITERATOR_PREFIX: &str = "bpf_iter_";
/// Enumerators that are asked for outside of [`Offsets::PATHS`].
const CONSTANTS: &[&str] = &["PG_head"];

#[derive(Debug, thiserror::Error)]
pub enum TypesError {
    #[error("the kernel tells no types: {path} is missing (it needs CONFIG_DEBUG_INFO_BTF)")]
    Missing { path: &'static str },
    #[error("{path} cannot be read: {source}")]
    Unreadable { path: &'static str, source: io::Error },
    #[error("the kernel's type information ends or errs at byte {at} of {length}")]
    Malformed { at: usize, length: usize },
}

/// A field that the kernel's types do not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the running kernel has no field {path}")]
pub struct MissingField {
    pub path: String,
}

/// The kernel's types, indexed for what is asked of them. Several MB: made at start, and dropped.
#[derive(Debug)]
pub struct Types {
    bytes: Vec<u8>,
    /// Byte at which each type begins, by its id; type 0 is `void`.
    starts: Vec<u32>,
    strings: usize,
    structures: HashMap<String, u32>,
    /// Ids of `btf_trace_*` and `bpf_iter_*`, by name.
    hooks: HashMap<String, u32>,
    constants: HashMap<String, u32>,
    hidden: BTreeSet<String>,
}

/// Ids of `btf_trace_*` and `bpf_iter_*`, by name.
#[derive(Debug)]
pub struct Hooks(HashMap<String, u32>);

impl Hooks {
    /// What aya needs: the ids of the hooks, under their names. All of the kernel's types would cost it 30 ms and 15 MB.
    ///
    /// # Errors
    /// When aya does not take it.
    pub fn types(&self) -> Result<Btf, aya::BtfError> {
        let named: HashMap<u32, &str> = self.0.iter().map(|(name, id)| (*id, name.as_str())).collect();
        let last = named.keys().copied().max().unwrap_or(0);
        let types_length = 12 * last;
        let strings_length = 1 + named.values().map(|name| name.len() as u32 + 1).sum::<u32>();
        let mut bytes = Vec::with_capacity(24 + (types_length + strings_length) as usize);
        bytes.extend(MAGIC.to_ne_bytes());
        bytes.extend([1, 0]); // Version, flags.
        let lengths = [24, 0, types_length, types_length, strings_length];
        bytes.extend(lengths.into_iter().flat_map(u32::to_ne_bytes));
        let mut strings = vec![0];
        for id in 1..=last {
            let (name, kind) = match named.get(&id) {
                Some(name) => {
                    let at = strings.len() as u32;
                    strings.extend_from_slice(name.as_bytes());
                    strings.push(0);
                    (at, if name.starts_with(TRACEPOINT_PREFIX) { kind::TYPEDEF } else { kind::FUNCTION })
                }
                None => (0, kind::FORWARD),
            };
            bytes.extend([name, kind << 24, 0].into_iter().flat_map(u32::to_ne_bytes));
        }
        bytes.append(&mut strings);
        Btf::parse(&bytes, Endianness::default())
    }
}

/// Kinds of types that are told apart, as the format numbers them.
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const POINTER: u32 = 2;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const FORWARD: u32 = 7;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const RESTRICT: u32 = 11;
    pub(super) const FUNCTION: u32 = 12;
    pub(super) const PROTOTYPE: u32 = 13;
    pub(super) const VARIABLE: u32 = 14;
    pub(super) const SECTION: u32 = 15;
    pub(super) const DECLARATION_TAG: u32 = 17;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
}

impl Types {
    /// Reads the running kernel's.
    ///
    /// # Errors
    /// When the kernel has none, or they cannot be read.
    pub fn running() -> Result<Self, TypesError> {
        if !Path::new(RUNNING).exists() {
            return Err(TypesError::Missing { path: RUNNING });
        }
        Self::parse(fs::read(RUNNING).map_err(|source| TypesError::Unreadable { path: RUNNING, source })?)
    }

    /// Indexes raw BTF in the machine's own byte order.
    ///
    /// # Errors
    /// When the bytes are not BTF, or contradict themselves.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, TypesError> {
        let mut types = Self {
            strings: 0,
            starts: vec![0],
            structures: HashMap::new(),
            hooks: HashMap::new(),
            constants: HashMap::new(),
            hidden: BTreeSet::new(),
            bytes,
        };
        types.index().map_err(|at| TypesError::Malformed { at, length: types.bytes.len() })?;
        Ok(types)
    }

    /// Forgets a field, as if the kernel lacked it: how a degraded probe is seen on any kernel.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        self.hidden.insert(path.to_owned());
        self
    }

    /// Offset of a field in bytes by its path, `structure.member[INDEX].member`; of several paths parted by `|` the
    /// first that exists.
    ///
    /// # Errors
    /// When none does.
    pub fn offset(&self, paths: &str) -> Result<u32, MissingField> {
        paths
            .split('|')
            .filter(|path| !self.hidden.contains(*path) && !self.hidden.contains(paths))
            .find_map(|path| self.walk(path))
            .ok_or_else(|| MissingField { path: paths.replace('|', " or ") })
    }

    /// The first of these fields that the kernel lacks.
    #[must_use]
    pub fn missing(&self, paths: &[&str]) -> Option<MissingField> {
        paths.iter().find_map(|path| self.offset(path).err())
    }

    /// All that the programs ask for; what is missing is [`Offsets::MISSING`].
    #[must_use]
    pub fn offsets(&self) -> Vec<u32> {
        Offsets::PATHS.iter().map(|paths| self.offset(paths).unwrap_or(Offsets::MISSING)).collect()
    }

    /// Value of an enumerator, such as `PG_head`.
    #[must_use]
    pub fn constant(&self, name: &str) -> Option<u32> {
        self.constants.get(name).copied()
    }

    /// The types of a tracepoint's arguments, by name, pointers with a `*`; none when the kernel has no such tracepoint.
    #[must_use]
    pub fn tracepoint(&self, name: &str) -> Option<Vec<String>> {
        let hook = format!("{TRACEPOINT_PREFIX}{name}");
        if self.hidden.contains(&hook) {
            return None;
        }
        let pointer = self.plain(self.word(*self.hooks.get(&hook)?, 2)?)?;
        let prototype = self.plain(self.word(pointer, 2)?)?;
        if self.kind(prototype)? != kind::PROTOTYPE {
            return None;
        }
        // The first argument is the tracepoint's own data, which programs do not see.
        (1..self.length(prototype)?).map(|n| self.type_name(self.word(prototype, 3 + 2 * n + 1)?)).collect()
    }

    /// Whether tasks can be iterated over.
    #[must_use]
    pub fn has_iterator(&self, name: &str) -> bool {
        let hook = format!("{ITERATOR_PREFIX}{name}");
        self.hooks.contains_key(&hook) && !self.hidden.contains(&hook)
    }

    /// The ids of the hooks, and no more: the types go.
    #[must_use]
    pub fn hooks(self) -> Hooks {
        Hooks(self.hooks)
    }

    /// Notes where each type begins, and the names that will be asked for. The error is the byte that is wrong.
    fn index(&mut self) -> Result<(), usize> {
        let word = |bytes: &[u8], at: usize| -> Result<u32, usize> {
            let word = bytes.get(at..at + 4).ok_or(at)?;
            Ok(u32::from_ne_bytes(word.try_into().map_err(|_| at)?))
        };
        if self.bytes.get(..2) != Some(&MAGIC.to_ne_bytes()[..]) {
            return Err(0);
        }
        let header = word(&self.bytes, 4)? as usize;
        let begin = header + word(&self.bytes, 8)? as usize;
        let end = begin + word(&self.bytes, 12)? as usize;
        self.strings = header + word(&self.bytes, 16)? as usize;
        let (structures, constants) = asked_for();
        let mut at = begin;
        while at < end {
            let id = self.starts.len() as u32;
            let (name, info) = (word(&self.bytes, at)?, word(&self.bytes, at + 4)?);
            let (kind, length) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
            match kind {
                kind::STRUCT | kind::UNION => {
                    let name = self.string(name).ok_or(at)?;
                    if structures.contains(name) {
                        self.structures.insert(name.to_owned(), id);
                    }
                }
                kind::TYPEDEF | kind::FUNCTION => {
                    let name = self.string(name).ok_or(at)?;
                    let prefix = if kind == kind::TYPEDEF { TRACEPOINT_PREFIX } else { ITERATOR_PREFIX };
                    if name.starts_with(prefix) {
                        self.hooks.insert(name.to_owned(), id);
                    }
                }
                kind::ENUM => {
                    for n in 0..length {
                        let name = self.string(word(&self.bytes, at + 12 + 8 * n)?).ok_or(at)?;
                        if constants.contains(name) {
                            self.constants.insert(name.to_owned(), word(&self.bytes, at + 16 + 8 * n)?);
                        }
                    }
                }
                _ => {}
            }
            self.starts.push(u32::try_from(at).map_err(|_| at)?);
            at += 12
                + match kind {
                    kind::INT | kind::VARIABLE | kind::DECLARATION_TAG => 4,
                    kind::ARRAY => 12,
                    kind::STRUCT | kind::UNION | kind::SECTION | kind::ENUM64 => 12 * length,
                    kind::ENUM | kind::PROTOTYPE => 8 * length,
                    _ => 0,
                };
        }
        if at == end { Ok(()) } else { Err(at) }
    }

    fn walk(&self, path: &str) -> Option<u32> {
        let mut parts = path.split('.');
        let mut id = *self.structures.get(parts.next()?)?;
        let mut offset = 0;
        for part in parts {
            let (member, index) = match part.split_once('[') {
                Some((member, index)) => (member, Some(index.strip_suffix(']')?)),
                None => (part, None),
            };
            let (member_offset, member_type) = self.member(self.plain(id)?, member)?;
            offset += member_offset;
            id = member_type;
            if let Some(index) = index {
                let index = index.parse().ok().or_else(|| self.constant(index))?;
                let array = self.plain(id)?;
                let (element, length) = (self.word(array, 3)?, self.word(array, 5)?);
                if self.kind(array)? != kind::ARRAY || index >= length {
                    return None;
                }
                offset += index * self.size(element)?;
                id = element;
            }
        }
        Some(offset)
    }

    /// Offset and type of a member, looked for in nameless structures too. A bit field is none.
    fn member(&self, id: u32, wanted: &str) -> Option<(u32, u32)> {
        if !matches!(self.kind(id)?, kind::STRUCT | kind::UNION) {
            return None;
        }
        let has_bit_sizes = self.word(id, 1)? >> 31 == 1;
        (0..self.length(id)?).find_map(|n| {
            let (name, inner, bits) = (self.word(id, 3 + 3 * n)?, self.word(id, 4 + 3 * n)?, self.word(id, 5 + 3 * n)?);
            let (bit_size, bits) = if has_bit_sizes { (bits >> 24, bits & 0xff_ffff) } else { (0, bits) };
            if name == 0 {
                let (offset, found) = self.member(self.plain(inner)?, wanted)?;
                return Some((bits / 8 + offset, found));
            }
            (self.string(name)? == wanted && bit_size == 0 && bits % 8 == 0).then_some((bits / 8, inner))
        })
    }

    fn size(&self, id: u32) -> Option<u32> {
        let id = self.plain(id)?;
        match self.kind(id)? {
            kind::POINTER => Some(size_of::<usize>() as u32),
            kind::ARRAY => self.size(self.word(id, 3)?)?.checked_mul(self.word(id, 5)?),
            kind::INT | kind::STRUCT | kind::UNION | kind::ENUM | kind::ENUM64 => self.word(id, 2),
            _ => None,
        }
    }

    /// The type behind names and qualifiers.
    fn plain(&self, mut id: u32) -> Option<u32> {
        while matches!(self.kind(id)?, kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG) {
            id = self.word(id, 2)?;
        }
        Some(id)
    }

    fn type_name(&self, id: u32) -> Option<String> {
        match self.kind(id)? {
            kind::POINTER => Some(self.type_name(self.word(id, 2)?)? + "*"),
            kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => self.type_name(self.word(id, 2)?),
            _ => Some(self.string(self.word(id, 0)?)?.to_owned()),
        }
    }

    fn kind(&self, id: u32) -> Option<u32> {
        Some(self.word(id, 1)? >> 24 & 0x1f)
    }

    fn length(&self, id: u32) -> Option<usize> {
        Some((self.word(id, 1)? & 0xffff) as usize)
    }

    /// The `n`th word of a type: its name, info, size or inner type, then what its kind adds.
    fn word(&self, id: u32, n: usize) -> Option<u32> {
        if id == 0 {
            return None;
        }
        let at = *self.starts.get(id as usize)? as usize + 4 * n;
        Some(u32::from_ne_bytes(self.bytes.get(at..at + 4)?.try_into().ok()?))
    }

    fn string(&self, offset: u32) -> Option<&str> {
        let text = self.bytes.get(self.strings + offset as usize..)?;
        let end = text.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(&text[..end]).ok()
    }
}

/// Structures and enumerators that the paths name.
fn asked_for() -> (HashSet<&'static str>, HashSet<&'static str>) {
    let paths = || Offsets::PATHS.iter().flat_map(|paths| paths.split('|'));
    let structures = paths().filter_map(|path| path.split('.').next()).collect();
    let indices = paths().flat_map(|path| path.split('[').skip(1)).filter_map(|rest| rest.split(']').next());
    (structures, indices.chain(CONSTANTS.iter().copied()).collect())
}
