//! An agent made of a Unix socket and a test's own hands: it accepts, hears and says, one message at a time.
//!
//! Knows no rules; every wait has a deadline. Tests of other crates use it too.

#![allow(dead_code, reason = "not every test needs every word of it")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use understudy_model::{FromApplication, ToApplication};
use understudy_wire::{ApplicationHears, ApplicationSays, Message, frame};

/// Longer than anything here takes, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The socket that an agent listens on.
pub struct Agent {
    directory: tempfile::TempDir,
    listener: Option<UnixListener>,
}

/// One accepted connection.
pub struct Session {
    stream: UnixStream,
    bytes: BytesMut,
}

impl Agent {
    pub fn new() -> Self {
        let mut agent = Self { directory: tempfile::tempdir().unwrap(), listener: None };
        agent.come_back();
        agent
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("link")
    }

    /// The environment of an application of this agent, in that run mode and epoch.
    pub fn variables(&self, run_mode: &str, epoch: u64) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("UNDERSTUDY_LINK".to_owned(), format!("unix:{}", self.path().display())),
            ("UNDERSTUDY_APPLICATION".to_owned(), "app-1".to_owned()),
            ("UNDERSTUDY_PAIR".to_owned(), "app".to_owned()),
            ("UNDERSTUDY_RUN_MODE".to_owned(), run_mode.to_owned()),
            ("UNDERSTUDY_EPOCH".to_owned(), epoch.to_string()),
        ])
    }

    /// Dies: the socket is gone.
    pub fn die(&mut self) {
        self.listener = None;
        std::fs::remove_file(self.path()).unwrap();
    }

    /// Listens again.
    pub fn come_back(&mut self) {
        let listener = UnixListener::bind(self.path()).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.listener = Some(listener);
    }

    /// Waits for the next connection.
    pub fn accept(&self) -> Session {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.listener.as_ref().unwrap().accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).unwrap();
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    return Session { stream, bytes: BytesMut::new() };
                }
                Err(why) => assert_eq!(why.kind(), std::io::ErrorKind::WouldBlock),
            }
            assert!(Instant::now() < deadline, "nobody connected");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Accepts a connection, hears its `Attach` and accepts the process.
    pub fn attach(&self) -> (Session, FromApplication) {
        let mut session = self.accept();
        let first = session.hear();
        session.say(ToApplication::Attached);
        (session, first)
    }
}

impl Session {
    /// The application's next message.
    pub fn hear(&mut self) -> FromApplication {
        self.hear_or_end().expect("the application closed the connection")
    }

    /// The same; `None` when the application closed the connection.
    pub fn hear_or_end(&mut self) -> Option<FromApplication> {
        loop {
            if let Some(frame) = frame::decode(&mut self.bytes).unwrap() {
                return Some(ApplicationSays::from_frame(&frame).unwrap().into_said());
            }
            let mut piece = [0; 1024];
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(count) => self.bytes.extend_from_slice(&piece[..count]),
                Err(why) if why.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(why) => panic!("nothing heard: {why}"),
            }
        }
    }

    pub fn say(&mut self, message: ToApplication) {
        let mut bytes = BytesMut::new();
        ApplicationHears::from(message).to_frame(&mut bytes).unwrap();
        self.say_bytes(&bytes);
    }

    pub fn say_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }
}
