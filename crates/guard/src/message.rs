//! What an agent and its guard say to each other: one form for every message, of bounded length.
//!
//! Knows no sockets. The law: bytes are a whole message of this version or nothing; a message that says more, less or
//! something else than its kind is nothing.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use understudy_model::{AgentId, ApplicationName, Incarnation, Moment};

use crate::Start;

/// The form below.
pub const VERSION: u8 = 1;
/// Everything but the texts, in bytes.
pub const HEAD_BYTES: usize = 72;
/// Longest name of an application, in bytes.
pub const LONGEST_NAME_BYTES: usize = 63;
/// Longest path of a control group, in bytes.
pub const LONGEST_PATH_BYTES: usize = 1024;
/// Longest message, in bytes.
pub const LONGEST_BYTES: usize = HEAD_BYTES + LONGEST_NAME_BYTES + LONGEST_PATH_BYTES;

/// Which start, and where it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// The slot, below [`crate::MOST_SLOTS`].
    pub slot: u16,
    /// The start in it.
    pub start: Start,
}

/// What an agent asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The first message of a connection.
    Hello,
    /// Guard it from now on; with exactly one descriptor, that of its main process. A start that is armed already keeps its
    /// slot and takes the rest.
    Arm {
        /// Which.
        post: Post,
        /// When it is killed.
        kill_at: Moment,
        /// Of which application.
        application: ApplicationName,
        /// The control group of everything that belongs to it, if it has one.
        group: Option<PathBuf>,
    },
    /// Kill it at another moment.
    Move {
        /// Which.
        post: Post,
        /// When.
        kill_at: Moment,
    },
    /// Guard it no more, or forget that it was killed.
    Disarm {
        /// Which.
        post: Post,
    },
    /// Say everything that is armed or was killed.
    List,
}

/// What a guard says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To a hello.
    Welcome {
        /// Its process.
        pid: u32,
        /// It lies in memory that is never swapped out.
        locked: bool,
        /// It goes before others when processors are short.
        hurried: bool,
    },
    /// It is armed.
    Armed {
        /// Which.
        post: Post,
        /// When it is killed.
        kill_at: Moment,
        /// Of which application.
        application: ApplicationName,
    },
    /// It was killed, as its time was over.
    Fired {
        /// Which.
        post: Post,
        /// When it was to be killed.
        kill_at: Moment,
        /// When that was begun. Later than asked by as much as the guard was late.
        at: Moment,
        /// When nothing of it was found alive any more; nothing as long as something is.
        gone_at: Option<Moment>,
        /// Of which application.
        application: ApplicationName,
    },
    /// The end of a list.
    End,
    /// It is not armed.
    Refused {
        /// Which.
        post: Post,
        /// Why.
        why: Refusal,
    },
}

/// Why a start is not armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such slot.
    #[error("there is no such slot")]
    NoSlot,
    /// Another start has it.
    #[error("the slot is another start's")]
    Taken,
    /// No descriptor of a process came with it, or one of the guard's own or of the first process.
    #[error("no descriptor of a process that may be killed came with it")]
    NoProcess,
    /// The path is not that of its own control group, or the group cannot be used.
    #[error("the control group is not that of the start, or cannot be used")]
    Group,
}

const KIND_HELLO: u8 = 1;
const KIND_ARM: u8 = 2;
const KIND_MOVE: u8 = 3;
const KIND_DISARM: u8 = 4;
const KIND_LIST: u8 = 5;
const KIND_WELCOME: u8 = 65;
const KIND_ARMED: u8 = 66;
const KIND_FIRED: u8 = 67;
const KIND_END: u8 = 68;
const KIND_REFUSED: u8 = 69;

/// A message before its kind is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Form {
    kind: u8,
    slot: u16,
    start: Option<Start>,
    numbers: [u64; 3],
    name: Option<ApplicationName>,
    path: Option<PathBuf>,
}

impl Form {
    fn of(kind: u8) -> Self {
        Self { kind, ..Self::default() }
    }

    fn about(kind: u8, post: &Post, first: u64) -> Self {
        Self { kind, slot: post.slot, start: Some(post.start), numbers: [first, 0, 0], ..Self::default() }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let path = self.path.as_ref().map_or(&[][..], |path| path.as_os_str().as_bytes());
        let name = self.name.as_ref().map_or("", ApplicationName::as_str).as_bytes();
        let zero = Start { agent: AgentId(0), incarnation: Incarnation(0), number: 0 };
        let start = self.start.unwrap_or(zero);
        bytes.clear();
        bytes.extend([VERSION, self.kind]);
        bytes.extend(self.slot.to_le_bytes());
        bytes.extend(start.agent.0.to_le_bytes());
        bytes.extend(start.incarnation.0.to_le_bytes());
        bytes.extend(start.number.to_le_bytes());
        self.numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        // A name has at most 63 bytes; a path that is longer than a guard takes is cut, and then is no group's.
        bytes.extend((name.len() as u16).to_le_bytes());
        let path = &path[..path.len().min(LONGEST_PATH_BYTES)];
        bytes.extend((path.len() as u16).to_le_bytes());
        bytes.extend(name);
        bytes.extend(path);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..HEAD_BYTES).filter(|head| head[0] == VERSION)?;
        let long = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| head[at + index]));
        let short = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        let wide = |at: usize| u128::from(long(at)) | u128::from(long(at + 8)) << 64;
        let start = Start { agent: AgentId(wide(4)), incarnation: Incarnation(wide(20)), number: long(36) };
        let nobody = start.agent.0 == 0 && start.incarnation.0 == 0 && start.number == 0;
        let (name, path) = (usize::from(short(68)), usize::from(short(70)));
        let texts = &bytes[HEAD_BYTES..];
        if texts.len() != name + path || path > LONGEST_PATH_BYTES || path > 0 && texts[name..].contains(&0) {
            return None;
        }
        let name = match std::str::from_utf8(&texts[..name]).ok()? {
            "" => None,
            text => Some(ApplicationName::new(text).ok().filter(|name| name.as_str() == text)?),
        };
        let path = match &texts[texts.len() - path..] {
            [] => None,
            path => Some(Path::new(OsStr::from_bytes(path)).to_owned()),
        };
        let numbers = [long(44), long(52), long(60)];
        Some(Self { kind: head[1], slot: short(2), start: (!nobody).then_some(start), numbers, name, path })
    }

    /// Which start it is about, if it is about one.
    fn post(&self) -> Option<Post> {
        self.start.map(|start| Post { slot: self.slot, start })
    }
}

impl Request {
    /// Writes it over whatever `bytes` held.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        let form = match self {
            Request::Hello => Form::of(KIND_HELLO),
            Request::List => Form::of(KIND_LIST),
            Request::Move { post, kill_at } => Form::about(KIND_MOVE, post, kill_at.0),
            Request::Disarm { post } => Form::about(KIND_DISARM, post, 0),
            Request::Arm { post, kill_at, application, group } => Form {
                name: Some(application.clone()),
                path: group.clone(),
                ..Form::about(KIND_ARM, post, kill_at.0)
            },
        };
        form.write(bytes);
    }

    /// Reads one; nothing if it is not exactly a request.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let form = Form::read(bytes)?;
        let kill_at = Moment(form.numbers[0]);
        let read = match form.kind {
            KIND_HELLO => Request::Hello,
            KIND_LIST => Request::List,
            KIND_MOVE => Request::Move { post: form.post()?, kill_at },
            KIND_DISARM => Request::Disarm { post: form.post()? },
            KIND_ARM => Request::Arm {
                post: form.post()?,
                kill_at,
                application: form.name.clone()?,
                group: form.path.clone(),
            },
            _ => return None,
        };
        // Written again it must be the same: then nothing was in it that its kind has no use for.
        let mut again = Vec::new();
        read.write(&mut again);
        (again == bytes).then_some(read)
    }
}

impl Answer {
    /// Writes it over whatever `bytes` held.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        let form = match self {
            Answer::End => Form::of(KIND_END),
            Answer::Welcome { pid, locked, hurried } => Form {
                numbers: [u64::from(*pid), u64::from(*locked), u64::from(*hurried)],
                ..Form::of(KIND_WELCOME)
            },
            Answer::Armed { post, kill_at, application } => {
                Form { name: Some(application.clone()), ..Form::about(KIND_ARMED, post, kill_at.0) }
            }
            Answer::Fired { post, kill_at, at, gone_at, application } => Form {
                numbers: [kill_at.0, at.0, gone_at.map_or(0, |at| at.0)],
                name: Some(application.clone()),
                ..Form::about(KIND_FIRED, post, 0)
            },
            Answer::Refused { post, why } => Form::about(KIND_REFUSED, post, *why as u64),
        };
        form.write(bytes);
    }

    /// Reads one; nothing if it is none. What a later guard adds to a kind is passed over.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let form = Form::read(bytes)?;
        let [first, second, third] = form.numbers;
        Some(match form.kind {
            KIND_END => Answer::End,
            KIND_WELCOME => {
                Answer::Welcome { pid: u32::try_from(first).ok()?, locked: second != 0, hurried: third != 0 }
            }
            KIND_ARMED => {
                Answer::Armed { post: form.post()?, kill_at: Moment(first), application: form.name? }
            }
            KIND_FIRED => Answer::Fired {
                post: form.post()?,
                kill_at: Moment(first),
                at: Moment(second),
                gone_at: (third != 0).then_some(Moment(third)),
                application: form.name?,
            },
            KIND_REFUSED => {
                let all = [Refusal::NoSlot, Refusal::Taken, Refusal::NoProcess, Refusal::Group];
                let why = all.into_iter().find(|why| *why as u64 == first)?;
                Answer::Refused { post: form.post()?, why }
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post() -> Post {
        let start = Start { agent: AgentId(u128::MAX - 1), incarnation: Incarnation(3 << 70), number: 9 };
        Post { slot: 255, start }
    }

    fn requests() -> Vec<Request> {
        let application = ApplicationName::new(&"x".repeat(LONGEST_NAME_BYTES)).unwrap();
        let arm = |group| Request::Arm {
            post: post(),
            kill_at: Moment(u64::MAX),
            application: application.clone(),
            group,
        };
        vec![
            Request::Hello,
            arm(None),
            arm(Some(PathBuf::from(format!("/{}", "g".repeat(LONGEST_PATH_BYTES - 1))))),
            Request::Move { post: post(), kill_at: Moment(77) },
            Request::Disarm { post: post() },
            Request::List,
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        for request in requests() {
            request.write(&mut bytes);
            assert!(bytes.len() <= LONGEST_BYTES);
            assert_eq!(Request::read(&bytes), Some(request));
            assert_eq!(Answer::read(&bytes), None, "a request is no answer");
        }
        let application = ApplicationName::new("app").unwrap();
        let (kill_at, at) = (Moment(5), Moment(6));
        let fired =
            |gone_at| Answer::Fired { post: post(), kill_at, at, gone_at, application: application.clone() };
        let answers = [
            Answer::Welcome { pid: 7, locked: true, hurried: false },
            Answer::Armed { post: post(), kill_at, application: application.clone() },
            fired(None),
            fired(Some(Moment(8))),
            Answer::End,
            Answer::Refused { post: post(), why: Refusal::Group },
        ];
        for answer in answers {
            answer.write(&mut bytes);
            assert_eq!(Answer::read(&bytes), Some(answer));
            assert_eq!(Request::read(&bytes), None, "an answer is no request");
        }
    }

    #[test]
    fn a_request_with_any_byte_missing_or_too_many_is_none() {
        let mut bytes = Vec::new();
        for request in requests() {
            request.write(&mut bytes);
            for length in 0..bytes.len() {
                assert_eq!(Request::read(&bytes[..length]), None, "{request:?} cut to {length}");
            }
            bytes.push(b'x');
            assert_eq!(Request::read(&bytes), None, "{request:?} and one more");
        }
    }

    #[test]
    fn any_other_byte_makes_another_request_or_none() {
        let mut bytes = Vec::new();
        for request in requests() {
            request.write(&mut bytes);
            for at in 0..bytes.len() {
                let mut other = bytes.clone();
                other[at] ^= 0x41;
                assert_ne!(Request::read(&other), Some(request.clone()), "byte {at} means nothing");
            }
        }
    }

    #[test]
    fn what_a_kind_has_no_use_for_must_not_be_there() {
        let mut bytes = Vec::new();
        Request::List.write(&mut bytes);
        bytes[2] = 1;
        assert_eq!(Request::read(&bytes), None);
        Request::Disarm { post: post() }.write(&mut bytes);
        bytes[44] = 1;
        assert_eq!(Request::read(&bytes), None);
    }
}
