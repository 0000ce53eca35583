//! One thread a connection: read a line, pass the gate, answer.
//!
//! Knows sockets; leaves what a line means to `lines` and what it does to `calls`. The law: the role is looked at, the
//! command applied and the acknowledgement handed to the system while the gate cannot close, and no client can
//! make that last longer; what only a primary may say is said right after `acts_in` said the same epoch.

use std::fmt::Write;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{SendFlags, send};
use understudy::{Epoch, InSyncError, Understudy};

use super::calls::{Answer, Command};
use super::conduct::{Server, log};
use super::faults::FaultOrder;
use super::gate::Serving;
use super::lines::{LONGEST_LINE_BYTES, LineError, Request, describe, parse};

/// The most connections at a time; one more is told so and closed.
pub const MOST_CONNECTIONS: usize = 1000;
/// A connection's thread needs little.
const STACK_BYTES: usize = 256 * 1024;
/// The wait after an `accept` that failed, for want of descriptors for example.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// How long a control server may take to record who has everything.
const LONGEST_RECORDING: Duration = Duration::from_secs(5);
/// How long a client that broke the bounds is listened to after it was told so.
const LONGEST_PARTING: Duration = Duration::from_millis(500);

/// What a connection needs.
#[derive(Debug, Clone)]
pub struct Reception {
    /// The server.
    pub server: Arc<Server>,
    /// The agent's link, if there is an agent.
    pub link: Option<Arc<Understudy>>,
}

impl Reception {
    /// Whether it may answer as primary in that epoch at this instant; without an agent it serves alone.
    fn acts_in(&self, epoch: u64) -> bool {
        self.link.as_ref().is_none_or(|link| link.acts_in().is_some_and(|now| now.0 == epoch))
    }
}

/// Accepts for ever.
pub fn accept_all(listener: &TcpListener, reception: &Reception) -> ! {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(why) => {
                log(&reception.server.name, &format!("accept failed: {why}"));
                std::thread::sleep(ACCEPT_RETRY);
                continue;
            }
        };
        reception.server.faults.hang_if_asked();
        if open.load(Ordering::SeqCst) >= MOST_CONNECTIONS {
            acknowledge(&stream, "ERR too-many-connections\n");
            continue;
        }
        open.fetch_add(1, Ordering::SeqCst);
        let (reception, counted) = (reception.clone(), Counted(Arc::clone(&open)));
        let name = reception.server.name.clone();
        let started = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
            let _counted = counted;
            converse(&stream, &reception);
        });
        if let Err(why) = started {
            log(&name, &format!("no thread for a connection: {why}"));
        }
    }
}

/// One open connection, as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Answers one client until it leaves, breaks the protocol's bounds, or reads too slowly.
fn converse(stream: &TcpStream, reception: &Reception) {
    // Without this an answer may wait for the client's next packet; a system that cannot is only slower.
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::with_capacity(LONGEST_LINE_BYTES + 2, stream);
    let mut line = Vec::new();
    while let Ok(true) = read_line(&mut reader, &mut line) {
        reception.server.faults.hang_if_asked();
        let goes_on = match parse(&line) {
            Ok(Request::Fault(order)) => misbehave(stream, reception, order),
            Ok(Request::LeaveOutPeer) => record(stream, reception, Understudy::leave_out_peer),
            Ok(Request::PeerCaughtUp) => record(stream, reception, Understudy::peer_caught_up),
            Ok(request) => answer(stream, reception, request),
            Err(LineError::TooLong) => {
                let said = acknowledge(stream, &format!("ERR {}\n", LineError::TooLong));
                return if said {
                    part(stream)
                };
            }
            Err(why) => acknowledge(stream, &format!("ERR {why}\n")),
        };
        if !goes_on {
            return;
        }
    }
}

/// Reads for a moment what the client has sent already. A system that closes a connection with bytes unread resets it, and that
/// may take the last answer away from the client.
fn part(stream: &TcpStream) {
    let until = Instant::now() + LONGEST_PARTING;
    let bounded =
        stream.shutdown(Shutdown::Write).and_then(|()| stream.set_read_timeout(Some(LONGEST_PARTING)));
    let mut unread = [0; 4096];
    while bounded.is_ok() && Instant::now() < until {
        match (&mut &*stream).read(&mut unread) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// Reads one line without its end. `false`: the client left. A line that is too long is returned cut, one byte longer
/// than allowed, and is the last of its connection.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let most = u64::try_from(LONGEST_LINE_BYTES + 2).unwrap_or(u64::MAX);
    reader.take(most).read_until(b'\n', line)?;
    let whole = line.ends_with(b"\n");
    while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        line.pop();
    }
    Ok(whole || line.len() > LONGEST_LINE_BYTES)
}

fn answer(stream: &TcpStream, reception: &Reception, request: Request) -> bool {
    let server = &reception.server;
    let goes_on = server.gate.pass(|serving| {
        let may_act = || serving.is_primary && reception.acts_in(serving.epoch);
        let began = Serving { is_primary: may_act(), ..serving };
        let text = text_of_answer(server, began, request);
        // Asked again when the work is done, right before the answer goes out: whatever held this thread up until now, nobody
        // else acted as primary at that instant. What was done for nothing is forgotten with the epoch.
        let text = if began.is_primary && !may_act() { refusal(began.epoch) } else { text };
        acknowledge(stream, &text)
    });
    server.finish_suspension_if_idle();
    goes_on
}

/// What is said instead of an answer that only a primary may give.
fn refusal(epoch: u64) -> String {
    format!("ERR not-primary run-mode=backup epoch={epoch}\n")
}

fn text_of_answer(server: &Server, serving: Serving, request: Request) -> String {
    let Serving { is_primary, epoch } = serving;
    let mode = if is_primary { "primary" } else { "backup" };
    if !is_primary && !request.is_for_backups_too() {
        return refusal(epoch);
    }
    let mut text = format!("OK epoch={epoch}");
    let mut calls = server.calls();
    // Writing to a String cannot fail.
    let refusal = match request {
        Request::Hello => {
            let _ = write!(text, " name={} run-mode={mode}", server.name);
            None
        }
        Request::Status => {
            let (of_calls, agents, dns) = calls.sizes();
            let writes = calls.written().count(0, u64::MAX - 1);
            let _ = write!(text, " name={} run-mode={mode}", server.name);
            let _ = write!(text, " calls={of_calls} agents={agents} dns={dns} writes={writes}");
            None
        }
        Request::Do(command) if server.is_suspending() && is_new_work(&command) => {
            Some("suspending".to_owned())
        }
        Request::Do(command) => match calls.apply(command) {
            Ok(Answer::Done) => None,
            Ok(Answer::Call(conn)) => {
                let _ = write!(text, " conn={conn}");
                None
            }
            Err(why) => Some(why.to_string()),
        },
        Request::Query(query) => match describe(&calls, &query) {
            Ok(found) => {
                text.push_str(&found);
                None
            }
            Err(why) => Some(why.to_string()),
        },
        // These are answered before they get here.
        Request::Fault(_) => Some("fault".to_owned()),
        Request::LeaveOutPeer | Request::PeerCaughtUp => Some("record".to_owned()),
    };
    match refusal {
        None => text + "\n",
        Some(why) => format!("ERR {why} epoch={epoch}\n"),
    }
}

fn is_new_work(command: &Command) -> bool {
    matches!(command, Command::Make { .. } | Command::Consult { .. } | Command::Write { .. })
}

/// Has something recorded of who has everything. It waits for a control server, so it does not stand in the gate: a demotion
/// need not wait for it, and the epoch in the answer says for which role it is so.
fn record(
    stream: &TcpStream,
    reception: &Reception,
    word: impl FnOnce(&Understudy, Duration) -> Result<Epoch, InSyncError>,
) -> bool {
    let Some(link) = &reception.link else { return acknowledge(stream, "ERR no-agent\n") };
    if link.acts_in().is_none() {
        return acknowledge(stream, &refusal(link.role().epoch.0));
    }
    let text = match word(link, LONGEST_RECORDING) {
        Ok(epoch) => format!("OK epoch={epoch} alone={}\n", link.may_acknowledge_alone()),
        Err(why) => format!("ERR not-recorded {why}\n"),
    };
    acknowledge(stream, &text)
}

fn misbehave(stream: &TcpStream, reception: &Reception, order: FaultOrder) -> bool {
    let Reception { server, link } = reception;
    if !server.faults_allowed {
        return acknowledge(stream, "ERR faults are off; start with --faults\n");
    }
    log(&server.name, &format!("fault: {order:?}"));
    server.faults.note(&order);
    server.faults.hang_if_asked();
    match order {
        FaultOrder::Crash => std::process::abort(),
        FaultOrder::Exit(code) => std::process::exit(i32::from(code)),
        FaultOrder::Unavailable(reason) => {
            if let Some(link) = link {
                link.unavailable(reason);
            }
        }
        FaultOrder::Available => {
            if let Some(link) = link {
                link.ready();
            }
        }
        FaultOrder::Hang
        | FaultOrder::RefusePromotion(_)
        | FaultOrder::SlowPromotion(_)
        | FaultOrder::SlowDemotion(_) => {}
    }
    acknowledge(stream, "OK\n")
}

/// Hands a whole line to the system, without waiting. `false`: the client reads too slowly or is gone, and the
/// connection has to end, since a cut answer cannot be mended.
fn acknowledge(stream: &TcpStream, line: &str) -> bool {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    send(stream, line.as_bytes(), flags).is_ok_and(|sent| sent == line.len())
}
