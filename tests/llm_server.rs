//! A server on loopback that says what a script has it say, in the wire format of a provider, and keeps what it was asked.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};

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
    /// Bytes of an event stream as they are.
    Raw(Vec<u8>),
    /// Nothing, for ever.
    Silence,
}

/// Answers the requests one after the other as `script` says: it is told what was asked, and how many were before.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    serving: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    pub(crate) async fn begin(script: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (kept, script) = (Arc::clone(&asked), Arc::new(script));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, script) = (Arc::clone(&kept), Arc::clone(&script));
                tokio::spawn(async move {
                    // A client that goes away is its own business.
                    drop(serve(stream, &kept, &*script).await);
                });
            }
        });
        Self { address, asked, serving }
    }

    /// Says the same to all.
    pub(crate) async fn saying(answer: Answer) -> Self {
        Self::begin(move |_, _| answer.clone()).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    kept: &Mutex<Vec<Asked>>,
    script: &(dyn Fn(&Asked, usize) -> Answer + Send + Sync),
) -> std::io::Result<()> {
    let asked = read(&mut stream).await?;
    let before = {
        let mut kept = kept.lock().unwrap();
        kept.push(asked.clone());
        kept.len() - 1
    };
    let events = |events: &[Value]| events.iter().map(|event| format!("data: {event}\r\n\r\n")).collect::<Vec<_>>();
    match script(&asked, before) {
        Answer::Events(said) => write_stream(&mut stream, &events(&said), Duration::ZERO, true).await,
        Answer::Dripping(said, pause) => write_stream(&mut stream, &events(&said), pause, true).await,
        Answer::Cut(said) => write_stream(&mut stream, &events(&said), Duration::ZERO, false).await,
        Answer::Raw(bytes) => {
            head(&mut stream, 200, &[("content-type", "text/event-stream".to_owned())]).await?;
            // Ends with the connection.
            stream.write_all(b"connection: close\r\n\r\n").await?;
            stream.write_all(&bytes).await
        }
        Answer::Status(status, headers, body) => {
            head(&mut stream, status, &headers).await?;
            let length = format!("content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            stream.write_all(length.as_bytes()).await
        }
        Answer::Silence => std::future::pending().await,
    }
}

async fn head(stream: &mut TcpStream, status: u16, headers: &[(&'static str, String)]) -> std::io::Result<()> {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    stream.write_all(format!("HTTP/1.1 {status} As scripted\r\n{lines}").as_bytes()).await
}

/// Chunked, so that the client sees whether it was told all.
async fn write_stream(stream: &mut TcpStream, events: &[String], pause: Duration, whole: bool) -> std::io::Result<()> {
    head(stream, 200, &[("content-type", "text/event-stream".to_owned())]).await?;
    stream.write_all(b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n").await?;
    for event in events {
        stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await?;
        stream.flush().await?;
        sleep(pause).await;
    }
    if whole { stream.write_all(b"0\r\n\r\n").await } else { Ok(()) }
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Asked> {
    let mut bytes = Vec::new();
    let end = loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&piece[..read]);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
    };
    let text = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    let headers: Vec<_> = lines.filter_map(header).collect();
    let mut asked = Asked { line, headers, body: Value::Null };
    let length: usize = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        let mut piece = vec![0; length - body.len()];
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        body.extend_from_slice(&piece[..read]);
    }
    asked.body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
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
