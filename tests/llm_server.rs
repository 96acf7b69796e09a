//! A server on loopback that says what a script has it say, in the wire format of a provider, and keeps what it was asked.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::{Value, json};

/// How often whoever waits looks whether the server goes.
const LOOK: Duration = Duration::from_millis(50);

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What is answered to one request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// A stream of events, one a value.
    Events(Vec<Value>),
    /// The same, with so long between two of them.
    Dripping(Vec<Value>, Duration),
    /// The same, and the connection is closed before the stream is over.
    Cut(Vec<Value>),
    /// A status with headers and a body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// Pieces as they are, with so long between two, and whether the stream is whole after them.
    Pieces(Vec<String>, Duration, bool),
    /// Bytes of an event stream as they are.
    Raw(Vec<u8>),
    /// Nothing, for ever.
    Silence,
}

/// Told what was asked, and how many were before; each request on a thread of its own, so it may take its time.
type Script = dyn Fn(&Asked, usize) -> Answer + Send + Sync;

/// Answers requests as its script says.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    script: Box<Script>,
    asked: Mutex<Vec<Asked>>,
    is_going: AtomicBool,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.is_going.store(true, Ordering::Release);
        // Wakes whoever accepts. From another network than its own it cannot be woken, nor be waited for.
        if let (Ok(_), Some(accepting)) = (TcpStream::connect(self.address), self.accepting.take()) {
            _ = accepting.join();
        }
    }
}

impl Server {
    /// # Panics
    /// Where loopback has no port left.
    pub(crate) fn begin(script: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("its address");
        let is_going = AtomicBool::new(false);
        let shared = Arc::new(Shared { script: Box::new(script), asked: Mutex::default(), is_going });
        let theirs = Arc::clone(&shared);
        let accepting = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if theirs.is_going() {
                    return;
                }
                let shared = Arc::clone(&theirs);
                // A client that goes away is its own business.
                thread::spawn(move || _ = shared.serve(stream));
            }
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    /// Says the same to all.
    pub(crate) fn saying(answer: Answer) -> Self {
        Self::begin(move |_, _| answer.clone())
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked().clone()
    }
}

impl Shared {
    fn asked(&self) -> std::sync::MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_going(&self) -> bool {
        self.is_going.load(Ordering::Acquire)
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let asked = read(&mut stream)?;
        let before = {
            let mut kept = self.asked();
            kept.push(asked.clone());
            kept.len() - 1
        };
        match (self.script)(&asked, before) {
            Answer::Events(said) => self.stream(&mut stream, &events(&said), Duration::ZERO, true),
            Answer::Dripping(said, pause) => self.stream(&mut stream, &events(&said), pause, true),
            Answer::Cut(said) => self.stream(&mut stream, &events(&said), Duration::ZERO, false),
            Answer::Pieces(said, pause, whole) => self.stream(&mut stream, &said, pause, whole),
            Answer::Raw(bytes) => {
                head(&mut stream, 200, &[("content-type", "text/event-stream".to_owned())])?;
                // Ends with the connection.
                stream.write_all(b"connection: close\r\n\r\n")?;
                stream.write_all(&bytes)
            }
            Answer::Status(status, headers, body) => {
                head(&mut stream, status, &headers)?;
                let length = format!("content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
                stream.write_all(length.as_bytes())
            }
            Answer::Silence => self.wait_for_the_end(&mut stream),
        }
    }

    /// Chunked, so that the client sees whether it was told all.
    fn stream(&self, stream: &mut TcpStream, said: &[String], pause: Duration, whole: bool) -> io::Result<()> {
        head(stream, 200, &[("content-type", "text/event-stream".to_owned())])?;
        stream.write_all(b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n")?;
        for piece in said {
            stream.write_all(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes())?;
            if !pause.is_zero() {
                thread::sleep(pause);
            }
            if self.is_going() {
                return Ok(());
            }
        }
        if whole { stream.write_all(b"0\r\n\r\n") } else { Ok(()) }
    }

    /// Until the client goes, or the server does.
    fn wait_for_the_end(&self, stream: &mut TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(LOOK))?;
        while !self.is_going() {
            match stream.read(&mut [0; 64]) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn events(said: &[Value]) -> Vec<String> {
    said.iter().map(|event| format!("data: {event}\r\n\r\n")).collect()
}

fn head(stream: &mut TcpStream, status: u16, headers: &[(&'static str, String)]) -> io::Result<()> {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    stream.write_all(format!("HTTP/1.1 {status} As scripted\r\n{lines}").as_bytes())
}

fn read(stream: &mut TcpStream) -> io::Result<Asked> {
    let strange = |what: &str| io::Error::new(ErrorKind::InvalidData, what);
    let mut bytes = Vec::new();
    let end = loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece)?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&piece[..read]);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
    };
    let text = String::from_utf8(bytes[..end].to_vec()).map_err(|_| strange("a head that is no text"))?;
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or_default().to_owned();
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    let headers: Vec<_> = lines.filter_map(header).collect();
    let mut asked = Asked { line, headers, body: Value::Null };
    let length = asked.header("content-length").map_or(Ok(0), str::parse).map_err(|_| strange("no length"))?;
    let mut body = bytes.split_off(end + 4);
    let there = body.len().min(length);
    body.resize(length, 0);
    stream.read_exact(&mut body[there..])?;
    if !body.is_empty() {
        asked.body = serde_json::from_slice(&body)?;
    }
    Ok(asked)
}

/// An event of Gemini's with these parts; the last one tells why it stops, and what it cost.
pub(crate) fn gemini(parts: &Value, last: bool) -> Value {
    let mut candidate = json!({ "content": { "role": "model", "parts": parts }, "index": 0 });
    if !last {
        return json!({ "candidates": [candidate] });
    }
    candidate["finishReason"] = json!("STOP");
    let usage =
        json!({ "promptTokenCount": 100, "candidatesTokenCount": 20, "thoughtsTokenCount": 5, "totalTokenCount": 125 });
    json!({ "candidates": [candidate], "usageMetadata": usage, "modelVersion": "scripted" })
}
