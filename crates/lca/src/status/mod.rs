//! The status port: what load balancers and Prometheus ask an agent, without the control plane.
//!
//! Refuses to know how anything is decided, and changes nothing: it reads what the machine last showed. The law: an
//! asker costs at most one of [`MOST_ASKERS`] connections, [`ASK_LIMIT`], and a bounded head, and wakes no machine; none
//! waits for another.

pub mod answer;
pub mod board;
pub mod figures;
pub mod request;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use understudy_drive::{Crowd, Pace, Paces, now};

use answer::{Answer, Method, answer};
use board::Board;
use request::{Head, LONGEST_HEAD_BYTES, parse};

/// The most askers at a time; for whoever comes above that, the one that came first makes room.
pub const MOST_ASKERS: usize = 64;
/// How long one asker may take, from its connection to the end of its answer.
pub const ASK_LIMIT: Duration = Duration::from_secs(5);
/// Askers of one address a second in the long run, and as many at once; those above that are turned away. A load balancer
/// takes an answer that is late for none, so nobody is made to wait.
pub const ASKERS_A_SECOND: u32 = 2_000;
/// The same of all addresses together: one that floods leaves as much to the others.
pub const ALL_ASKERS_A_SECOND: u32 = 2 * ASKERS_A_SECOND;
/// Most addresses that are told apart.
const MOST_ADDRESSES: usize = 1_024;
/// Pause after a failed accept, so that a lack of descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Pause after an address was refused.
const BIND_PAUSE: Duration = Duration::from_secs(5);
/// How much of what an asker sends too much is read away, so that it gets its answer and no reset.
const MOST_READ_AWAY_BYTES: usize = 64 * 1024;

/// Why nothing listens on a status port.
#[derive(Debug, thiserror::Error)]
#[error("the status port {address} cannot be listened at: {source}")]
pub struct StatusBindError {
    /// Where it should have listened.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// A status port that listens and is not served yet.
#[derive(Debug)]
pub struct StatusPort {
    listener: TcpListener,
    address: SocketAddr,
}

impl StatusPort {
    /// Listens.
    pub async fn bind(address: SocketAddr) -> Result<Self, StatusBindError> {
        let failed = |source| StatusBindError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers as long as the runtime lives.
    pub async fn serve(self, board: Arc<Board>) {
        let crowd = Crowd::new(MOST_ASKERS);
        let each = Pace::new(ASKERS_A_SECOND, ASKERS_A_SECOND);
        let mut each = Paces::new(MOST_ADDRESSES, each.clone(), each);
        let mut all = Pace::new(ALL_ASKERS_A_SECOND, ALL_ASKERS_A_SECOND);
        loop {
            match self.listener.accept().await {
                Ok((stream, from)) if !(each.allows(from.ip(), now()) && all.allows(now())) => drop(stream),
                Ok((stream, _)) => {
                    let (place, board) = (crowd.enter(), Arc::clone(&board));
                    tokio::spawn(async move {
                        let leave = place.must_leave();
                        tokio::select! {
                            () = leave => {}
                            // An asker who is too slow or has gone is told nothing: there is nobody to read it.
                            _ = tokio::time::timeout(ASK_LIMIT, converse(stream, &board)) => {}
                        }
                        drop(place);
                    });
                    // Its turn comes before the next is let in, so that many who ask at once do not push each other out.
                    tokio::task::yield_now().await;
                }
                Err(error) => {
                    tracing::warn!(%error, "a status connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Listens at an address and answers there, as long as the runtime lives. A place that is taken is tried again: an
/// agent that can watch applications must not end because nobody can ask it.
pub async fn serve_status(address: SocketAddr, board: Arc<Board>) {
    let mut refused = false;
    loop {
        match StatusPort::bind(address).await {
            Ok(port) => {
                tracing::info!(address = %port.address(), "answering load balancers");
                return port.serve(board).await;
            }
            Err(error) => {
                if !std::mem::replace(&mut refused, true) {
                    tracing::error!("{error}; it is tried again every {BIND_PAUSE:?}");
                }
                tokio::time::sleep(BIND_PAUSE).await;
            }
        }
    }
}

async fn converse(mut stream: TcpStream, board: &Board) -> io::Result<()> {
    let (answer, with_body) = match read_head(&mut stream).await? {
        None => return Ok(()),
        Some(Ok(head)) => (answer(&head, board), head.method != Method::Head),
        Some(Err(refusal)) => (Answer::refusal(refusal), true),
    };
    board.asked(answer.status);
    write(&mut stream, &answer, with_body).await?;
    stream.shutdown().await?;
    read_away(&mut stream).await
}

/// The head of a request, or why it is none; `None` if the asker left before it said anything.
async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<Result<Head, request::Refusal>>> {
    let mut bytes = Vec::with_capacity(512);
    loop {
        if let Some(end) = request::end_of_head(&bytes) {
            return Ok(Some(parse(&bytes[..end])));
        }
        if bytes.len() >= LONGEST_HEAD_BYTES {
            return Ok(Some(Err(request::Refusal::TooLong)));
        }
        let room = LONGEST_HEAD_BYTES - bytes.len();
        if (&mut *stream).take(room as u64).read_buf(&mut bytes).await? == 0 {
            return Ok((!bytes.is_empty()).then_some(Err(request::Refusal::Nonsense("the head has no end"))));
        }
    }
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), answer: &Answer, with_body: bool) -> io::Result<()> {
    let mut text = format!(
        "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n",
        answer.status,
        answer.reason(),
        answer.content_type,
        answer.body.len(),
    );
    if answer.says_allowed {
        text.push_str("Allow: GET, HEAD, OPTIONS\r\n");
    }
    text.push_str("\r\n");
    if with_body {
        text.push_str(&answer.body);
    }
    stream.write_all(text.as_bytes()).await
}

/// Reads what is still under way: a connection that is closed with unread bytes takes its answer with it.
async fn read_away(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut sink = [0; 4096];
    let mut read = 0;
    while read < MOST_READ_AWAY_BYTES {
        match stream.read(&mut sink).await? {
            0 => break,
            bytes => read += bytes,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often the port is asked: more than one load balancer asks at once, fewer than are turned away.
    const ASKS: usize = 1_500;
    /// The longest that the test may take.
    const LIMIT: Duration = Duration::from_secs(20);

    async fn ask(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// The clock stands, and somebody is always busy so that it is not moved on: whoever waits for a time waits for ever.
    #[tokio::test(start_paused = true)]
    async fn none_of_many_askers_waits() {
        let port = StatusPort::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = port.address();
        tokio::spawn(port.serve(Board::without_links("alpha".parse().unwrap())));
        let began = std::time::Instant::now();
        let busy = async {
            while began.elapsed() < LIMIT {
                tokio::task::yield_now().await;
            }
            unreachable!("somebody waits");
        };
        let asks = async {
            for _ in 0..ASKS / 30 {
                let together: Vec<_> = (0..30).map(|_| tokio::spawn(ask(address))).collect();
                for asked in together {
                    assert!(asked.await.unwrap().starts_with("HTTP/1.1 200 "));
                }
            }
        };
        tokio::select! {
            () = asks => {}
            () = busy => {}
        }
    }
}
