//! A connected stream, plain or with TLS, shared by its two ends.
//!
//! Knows no frames. The law: this is the only file that tells one kind of stream from another; writing never waits and
//! never loses its place, reading takes what is there. TLS is pumped here by hand, so that a sender can encrypt and write
//! at once, without waking a task.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Buf, BytesMut};
use rustls::Connection;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// Room that is made for each read, in bytes.
const READ_BYTES: usize = 8 * 1024;

/// A socket of this machine.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    fn try_read(&self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.try_read(room),
            Socket::Unix(stream) => stream.try_read(room),
        }
    }

    fn try_read_buf(&self, room: &mut BytesMut) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.try_read_buf(room),
            Socket::Unix(stream) => stream.try_read_buf(room),
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.try_write(bytes),
            Socket::Unix(stream) => stream.try_write(bytes),
        }
    }

    async fn ready(&self, interest: Interest) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => stream.ready(interest).await.map(|_| ()),
            Socket::Unix(stream) => stream.ready(interest).await.map(|_| ()),
        }
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => SockRef::from(stream).shutdown(how),
            Socket::Unix(stream) => SockRef::from(stream).shutdown(how),
        }
    }
}

/// Lets TLS read from and write to a socket without waiting.
struct AtOnce<'a>(&'a Socket);

impl Read for AtOnce<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(room)
    }
}

impl Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What became of bytes that were to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// The system has everything.
    Everything,
    /// The system takes no more for now.
    NoRoom,
}

/// The stream. Both ends may be used at the same time, from any thread.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: Socket,
    tls: Option<Mutex<Connection>>,
}

impl Stream {
    pub(crate) fn plain(socket: Socket) -> Self {
        Self { socket, tls: None }
    }

    /// With TLS whose handshake is still to be done.
    pub(crate) fn with_tls(socket: Socket, mut tls: Connection) -> Self {
        // The queue of the sender has a bound of its own; what is encrypted already stays below this.
        tls.set_buffer_limit(Some(128 * 1024));
        Self { socket, tls: Some(Mutex::new(tls)) }
    }

    /// The socket, unless there is TLS.
    pub(crate) fn socket_without_tls(&self) -> Option<&Socket> {
        self.tls.is_none().then_some(&self.socket)
    }

    /// A panic while the lock was held leaves a connection whose next use fails; it cannot be half encrypted.
    fn lock(tls: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
        tls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the TLS connection, if this is one.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&Connection) -> R) -> Option<R> {
        self.tls.as_ref().map(|tls| look(&Self::lock(tls)))
    }

    /// Writes what the system takes at once, tells `taken` of every piece of `bytes` that is taken over, and never waits.
    /// With TLS, what is taken over may still wait, encrypted, in here: call again until it says `Everything`.
    pub(crate) fn write(&self, bytes: &mut BytesMut, mut taken: impl FnMut(usize)) -> io::Result<Wrote> {
        let Some(tls) = &self.tls else {
            while !bytes.is_empty() {
                match again(|| self.socket.try_write(bytes))? {
                    None => return Ok(Wrote::NoRoom),
                    Some(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Some(count) => {
                        bytes.advance(count);
                        taken(count);
                    }
                }
            }
            return Ok(Wrote::Everything);
        };
        let mut tls = Self::lock(tls);
        loop {
            if flush(&mut tls, &self.socket)? == Wrote::NoRoom {
                return Ok(Wrote::NoRoom);
            }
            if bytes.is_empty() {
                return Ok(Wrote::Everything);
            }
            let count = tls.writer().write(bytes)?;
            bytes.advance(count);
            taken(count);
        }
    }

    /// Waits until the system may take more.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.socket.ready(Interest::WRITABLE).await
    }

    /// Reads what is there, waiting if there is nothing; 0 at the end. May be dropped while it waits: nothing is lost.
    pub(crate) async fn read(&self, room: &mut BytesMut) -> io::Result<usize> {
        loop {
            if let Some(count) = self.read_now(room)? {
                return Ok(count);
            }
            self.socket.ready(Interest::READABLE).await?;
        }
    }

    /// Reads what is there; `None` if there is nothing.
    fn read_now(&self, room: &mut BytesMut) -> io::Result<Option<usize>> {
        room.reserve(READ_BYTES);
        let Some(tls) = &self.tls else {
            return again(|| self.socket.try_read_buf(room));
        };
        let mut tls = Self::lock(tls);
        loop {
            // What is already decrypted comes first; the end of TLS is the end.
            if let Some(count) = decrypted(&mut tls, room)? {
                return Ok(Some(count));
            }
            match again(|| tls.read_tls(&mut AtOnce(&self.socket)))? {
                None => return Ok(None),
                // A peer that was killed does not say goodbye; frames are whole or refused anyway.
                Some(0) => return Ok(Some(0)),
                Some(_) => {}
            }
            if let Err(error) = tls.process_new_packets() {
                // The peer should learn why, if it still listens; the error itself is told either way.
                let _ = flush(&mut tls, &self.socket);
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            flush(&mut tls, &self.socket)?;
        }
    }

    /// Does the handshake of TLS to its end; nothing to do on a plain stream. Errors of TLS are the source of an
    /// `InvalidData` error.
    pub(crate) async fn shake_hands(&self) -> io::Result<()> {
        let Some(tls) = &self.tls else { return Ok(()) };
        loop {
            let interest = {
                let mut tls = Self::lock(tls);
                if flush(&mut tls, &self.socket)? == Wrote::NoRoom {
                    Interest::WRITABLE
                } else if !tls.is_handshaking() {
                    return Ok(());
                } else {
                    match again(|| tls.read_tls(&mut AtOnce(&self.socket)))? {
                        None => Interest::READABLE,
                        Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                        Some(_) => {
                            if let Err(error) = tls.process_new_packets() {
                                // As above: the alert is a courtesy.
                                let _ = flush(&mut tls, &self.socket);
                                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                            }
                            continue;
                        }
                    }
                }
            };
            self.socket.ready(interest).await?;
        }
    }

    /// Tells the peer that no more will come, after everything that was written.
    pub(crate) fn finish(&self) {
        if let Some(tls) = &self.tls {
            let mut tls = Self::lock(tls);
            tls.send_close_notify();
            // The end of the stream says the same, if this cannot be said.
            let _ = flush(&mut tls, &self.socket);
        }
        // Fails only on a connection that has ended already.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Reads and throws away what still comes, up to `most_bytes`: a connection that is closed with unread bytes is reset,
    /// and a reset would swallow the last words said to the peer.
    pub(crate) async fn drain(&self, most_bytes: usize) {
        let (mut room, mut read) = ([0; 4096], 0);
        while read < most_bytes {
            match again(|| self.socket.try_read(&mut room)) {
                Ok(Some(0)) | Err(_) => return,
                Ok(Some(count)) => read += count,
                Ok(None) => {
                    if self.socket.ready(Interest::READABLE).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// Some decrypted bytes, or 0 at the end of TLS; `None` if more has to be read first.
fn decrypted(tls: &mut Connection, room: &mut BytesMut) -> io::Result<Option<usize>> {
    let before = room.len();
    room.resize(before + READ_BYTES, 0);
    let read = tls.reader().read(&mut room[before..]);
    room.truncate(before + read.as_ref().map_or(0, |count| *count));
    match read {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes what TLS has ready.
fn flush(tls: &mut Connection, socket: &Socket) -> io::Result<Wrote> {
    while tls.wants_write() {
        match again(|| tls.write_tls(&mut AtOnce(socket)))? {
            None => return Ok(Wrote::NoRoom),
            Some(0) => return Err(io::ErrorKind::WriteZero.into()),
            Some(_) => {}
        }
    }
    Ok(Wrote::Everything)
}

/// Repeats what a signal interrupted; `None` if it would have to wait.
fn again(mut act: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match act() {
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
