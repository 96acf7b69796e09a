//! What D-Bus is on the wire, as far as one caller needs it: a connection that asks, and waits for answers and signals.
//!
//! The values are zbus's; this is the message around them, so that an executor needs no thread and no call beyond
//! reading and writing the one descriptor that it has (D-Bus specification, "Message Protocol").

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Serialize, Serializer, de::DeserializeOwned, ser::SerializeStruct};
use zbus::wire::{
    DynamicType, Endian, ObjectPath, OwnedVariant, Signature, Type, Variant,
    serialized::{Context, Data},
    to_bytes,
};

use super::ManagerError;

/// Longest message that is read, bytes; the specification allows 128 MiB.
const MESSAGE_MAX: usize = 4 << 20;
/// Signals that wait to be looked at; more than these are dropped, oldest first.
const SIGNALS_MAX: usize = 512;
/// What precedes a message's header fields, bytes, their length included.
const HEAD: usize = 16;

/// Types of messages.
const CALL: u8 = 1;
const RETURN: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;
/// Codes of header fields.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// A connection that is open and authenticated.
#[derive(Debug)]
pub(super) struct Connection {
    /// Read and written as a file: an executor has no call for sockets.
    stream: File,
    serial: u32,
    /// Read while an answer was awaited.
    signals: VecDeque<Message>,
}

/// Whom a call is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Method<'a> {
    /// On a bus: the service's name.
    pub(super) destination: Option<&'a str>,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
}

/// One message, read.
#[derive(Debug)]
pub(super) struct Message {
    kind: u8,
    endian: Endian,
    fields: Vec<(u8, OwnedVariant)>,
    body: Vec<u8>,
}

impl Connection {
    /// Says who we are, which the other side knows from the kernel ("EXTERNAL"), and that messages follow.
    ///
    /// Both at once, and nothing more before the answer: what systemd reads together with `BEGIN` it looks at only when
    /// yet more comes, and for a call that was read so there is no answer.
    pub(super) fn authenticate(socket: OwnedFd, uid: u32) -> Result<Self, ManagerError> {
        let stream = File::from(socket);
        let hex: String = uid.to_string().bytes().map(|byte| format!("{byte:02x}")).collect();
        (&stream).write_all(format!("\0AUTH EXTERNAL {hex}\r\nBEGIN\r\n").as_bytes())?;
        let mut said = Vec::new();
        // Byte by byte: where messages begin is not known before.
        while !said.ends_with(b"\r\n") {
            let mut byte = [0];
            if said.len() > 256 || (&stream).read(&mut byte)? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            said.extend(byte);
        }
        if !said.starts_with(b"OK ") {
            let said = String::from_utf8_lossy(&said).trim_end().escape_default().take(80).collect();
            return Err(ManagerError::NotLetIn { said });
        }
        Ok(Self::on(stream.into()))
    }

    /// One that was authenticated by whoever passed it.
    pub(super) fn on(socket: OwnedFd) -> Self {
        Self { stream: socket.into(), serial: 0, signals: VecDeque::new() }
    }

    pub(super) fn into_descriptor(self) -> OwnedFd {
        self.stream.into()
    }

    /// Calls a method, and waits for its answer. Several arguments are a tuple.
    pub(super) fn call<B: Serialize + DynamicType>(
        &mut self,
        method: Method<'_>,
        body: &B,
    ) -> Result<Message, ManagerError> {
        self.serial += 1;
        let serial = self.serial;
        let message = encode(serial, method, body)?;
        self.stream.write_all(&message)?;
        loop {
            let message = self.receive()?;
            match message.kind {
                SIGNAL => self.keep(message),
                RETURN if message.answers() == Some(serial) => return Ok(message),
                ERROR if message.answers() == Some(serial) => return Err(message.error()),
                // An answer to nothing that was asked.
                _ => {}
            }
        }
    }

    /// The next signal of this name, read by `until`; none: it did not come.
    pub(super) fn signal(&mut self, member: &str, until: Instant) -> Result<Option<Message>, ManagerError> {
        loop {
            while let Some(message) = self.signals.pop_front() {
                if message.text(MEMBER) == Some(member) {
                    return Ok(Some(message));
                }
            }
            if !self.comes(until)? {
                return Ok(None);
            }
            let message = self.receive()?;
            if message.kind == SIGNAL {
                self.keep(message);
            }
        }
    }

    /// Whether something can be read before `until`.
    fn comes(&self, until: Instant) -> Result<bool, ManagerError> {
        loop {
            let left = until.saturating_duration_since(Instant::now()).min(Duration::from_secs(60));
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            match poll(&mut [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)], timeout) {
                Err(nix::Error::EINTR) => {}
                ready => return Ok(ready.map_err(io::Error::from)? > 0),
            }
        }
    }

    fn keep(&mut self, signal: Message) {
        if self.signals.len() == SIGNALS_MAX {
            self.signals.pop_front();
        }
        self.signals.push_back(signal);
    }

    fn receive(&mut self) -> Result<Message, ManagerError> {
        let mut bytes = vec![0; HEAD];
        self.stream.read_exact(&mut bytes)?;
        let (fields, body) = lengths(&bytes)?;
        bytes.resize(HEAD + fields + body, 0);
        self.stream.read_exact(&mut bytes[HEAD..])?;
        decode(bytes, fields)
    }
}

impl Message {
    /// Its arguments; several are a tuple.
    pub(super) fn body<T: DeserializeOwned + Type>(&self) -> Result<T, ManagerError> {
        let data = Data::new(self.body.as_slice(), Context::new(self.endian, 0));
        let (body, _) = data.deserialize().map_err(ManagerError::unreadable)?;
        Ok(body)
    }

    fn field(&self, code: u8) -> Option<&Variant<'static>> {
        self.fields.iter().find(|(field, _)| *field == code).map(|(_, value)| &**value)
    }

    fn text(&self, code: u8) -> Option<&str> {
        match self.field(code) {
            Some(Variant::Str(text)) => Some(text.as_str()),
            _ => None,
        }
    }

    fn answers(&self) -> Option<u32> {
        match self.field(REPLY_SERIAL) {
            Some(Variant::U32(serial)) => Some(*serial),
            _ => None,
        }
    }

    fn error(&self) -> ManagerError {
        let name = self.text(ERROR_NAME).unwrap_or("an error without a name").to_owned();
        let said = self.body::<String>().unwrap_or_default();
        ManagerError::Refused { name, said: said.escape_debug().take(200).collect() }
    }
}

/// Of the header of a message that is written.
#[derive(Debug, Type)]
#[zbus(signature = "v")]
enum Field<'a> {
    Plain(Variant<'a>),
    /// The types of the arguments, one after the other: as a signature of zbus they would be those of one structure.
    Arguments(String),
}

impl Serialize for Field<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(value) => value.serialize(serializer),
            // As zbus writes a variant.
            Self::Arguments(types) => {
                let mut variant = serializer.serialize_struct("Variant", 2)?;
                variant.serialize_field("signature", &Signature::Signature)?;
                variant.serialize_field("value", types)?;
                variant.end()
            }
        }
    }
}

/// The bytes of a method call.
fn encode<B: Serialize + DynamicType>(serial: u32, method: Method<'_>, body: &B) -> Result<Vec<u8>, ManagerError> {
    let context = Context::new(Endian::Little, 0);
    let signature = body.signature().to_string_no_parens();
    let body = to_bytes(context, body).map_err(ManagerError::unreadable)?;
    let path = ObjectPath::try_from(method.path).map_err(ManagerError::unreadable)?;
    let mut fields = vec![
        (PATH, Field::Plain(path.into())),
        (INTERFACE, Field::Plain(method.interface.into())),
        (MEMBER, Field::Plain(method.member.into())),
    ];
    if let Some(destination) = method.destination {
        fields.push((DESTINATION, Field::Plain(destination.into())));
    }
    if !signature.is_empty() {
        fields.push((SIGNATURE, Field::Arguments(signature)));
    }
    let length = u32::try_from(body.bytes().len()).map_err(ManagerError::unreadable)?;
    let head = (b'l', CALL, 0_u8, 1_u8, length, serial, fields);
    let mut message = to_bytes(context, &head).map_err(ManagerError::unreadable)?.bytes().to_vec();
    message.resize(message.len().next_multiple_of(8), 0);
    message.extend_from_slice(body.bytes());
    Ok(message)
}

fn endian(head: &[u8]) -> Result<Endian, ManagerError> {
    match head.first() {
        Some(b'l') => Ok(Endian::Little),
        Some(b'B') => Ok(Endian::Big),
        _ => Err(ManagerError::unreadable("a message that says neither l nor B")),
    }
}

/// Of the header's fields, padded, and of the body, as the head tells them.
fn lengths(head: &[u8]) -> Result<(usize, usize), ManagerError> {
    let endian = endian(head)?;
    let number = |at: usize| {
        let bytes: [u8; 4] = head[at..at + 4].try_into().unwrap_or_default();
        let number = if endian == Endian::Little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) };
        usize::try_from(number).unwrap_or(usize::MAX).min(MESSAGE_MAX + 1)
    };
    let (fields, body) = (number(12).next_multiple_of(8), number(4));
    if fields + body > MESSAGE_MAX {
        return Err(ManagerError::unreadable("a message that is too long"));
    }
    Ok((fields, body))
}

fn decode(mut bytes: Vec<u8>, fields: usize) -> Result<Message, ManagerError> {
    let endian = endian(&bytes)?;
    let body = bytes.split_off(HEAD + fields);
    let data = Data::new(bytes, Context::new(endian, 0));
    type Head = (u8, u8, u8, u8, u32, u32, Vec<(u8, OwnedVariant)>);
    let ((_, kind, _, _, _, _, fields), _) = data.deserialize::<Head>().map_err(ManagerError::unreadable)?;
    Ok(Message { kind, endian, fields, body })
}
