//! A file with variables: `NAME=value` lines, comments, quotes; the simple form that service units use.
//!
//! Refuses to know whose variables they are. The law: what is read is bounded, what cannot be understood is refused
//! with its line, and no word of the file is ever shown: it may be a secret, or another file.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Longest file, in bytes.
pub const LONGEST_BYTES: u64 = 256 * 1024;
/// Most variables of a file.
pub const MOST_VARIABLES: usize = 1024;
/// Variables that the agent sets: one set here would be a lie or would be overwritten.
const RESERVED: [&str; 3] = ["UNDERSTUDY_", "NOTIFY_SOCKET", "WATCHDOG_USEC"];

/// Why a file gives no variables. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentFileError {
    /// It cannot be opened or read.
    #[error("cannot read the environment file {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory, a pipe, a device.
    #[error("the environment file {} is not a regular file", path.display())]
    NotRegular {
        /// Which.
        path: PathBuf,
    },
    /// Longer than any sane one.
    #[error("the environment file {} is longer than {LONGEST_BYTES} bytes", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
    },
    /// A line that cannot be understood.
    #[error("the environment file {}, line {line}: {fault}", path.display())]
    Line {
        /// Which.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        fault: Fault,
    },
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No `=`.
    #[error("not a comment and not NAME=value")]
    NoAssignment,
    /// Letters, digits and `_`, no digit first.
    #[error("the part before \"=\" is not the name of a variable")]
    BadName,
    /// Only the agent sets it.
    #[error("the agent sets this variable itself; remove the line")]
    Reserved,
    /// The file ends within quotes.
    #[error("a quote that begins here does not end")]
    OpenQuote,
    /// Not text.
    #[error("a zero byte, or bytes that are not UTF-8")]
    NotText,
    /// A list is bounded.
    #[error("more than {MOST_VARIABLES} variables")]
    TooMany,
}

/// Opens a file without waiting for a pipe's writer and without following it to a terminal.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY).bits().cast_signed();
    File::options().read(true).custom_flags(flags).open(path)
}

/// Reads what was opened.
pub fn read(path: &Path, file: File) -> Result<Vec<(String, String)>, EnvironmentFileError> {
    let failed = |source| EnvironmentFileError::Read { path: path.to_owned(), source };
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(EnvironmentFileError::NotRegular { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    file.take(LONGEST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LONGEST_BYTES {
        return Err(EnvironmentFileError::TooLong { path: path.to_owned() });
    }
    parse(&bytes).map_err(|(line, fault)| EnvironmentFileError::Line { path: path.to_owned(), line, fault })
}

/// The variables of a text, the last one of a name winning; or the line that is wrong.
pub fn parse(bytes: &[u8]) -> Result<Vec<(String, String)>, (usize, Fault)> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        (1 + before.iter().filter(|byte| **byte == b'\n').count(), Fault::NotText)
    })?;
    let mut variables: Vec<(String, String)> = Vec::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut line = 1;
    while !rest.is_empty() {
        let begins = line;
        let bad = |fault| (begins, fault);
        let trimmed = rest.trim_start_matches([' ', '\t']);
        let first_line = trimmed.split('\n').next().unwrap_or_default();
        if first_line.trim().is_empty() || first_line.starts_with(['#', ';']) {
            rest = trimmed.get(first_line.len() + 1..).unwrap_or_default();
            line += 1;
            continue;
        }
        let (name, after) = trimmed.split_once('=').ok_or(bad(Fault::NoAssignment))?;
        if name.contains('\n') {
            return Err(bad(Fault::NoAssignment));
        }
        check_name(name).map_err(bad)?;
        let (value, used) = read_value(after).map_err(bad)?;
        line += after[..used].matches('\n').count();
        rest = &after[used..];
        if value.contains('\0') {
            return Err(bad(Fault::NotText));
        }
        variables.retain(|(other, _)| other != name);
        if variables.len() >= MOST_VARIABLES {
            return Err(bad(Fault::TooMany));
        }
        variables.push((name.to_owned(), value));
    }
    Ok(variables)
}

fn check_name(name: &str) -> Result<(), Fault> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(plain) {
        return Err(Fault::BadName);
    }
    if RESERVED.iter().any(|reserved| name.starts_with(reserved)) {
        return Err(Fault::Reserved);
    }
    Ok(())
}

/// A value up to the end of its line, and how many bytes of the text it took. Within quotes a line may end; a
/// backslash joins two lines.
fn read_value(text: &str) -> Result<(String, usize), Fault> {
    let mut value = String::new();
    // What stands unquoted at the end and may be white space that does not count.
    let mut keep = 0;
    let mut quote: Option<char> = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => {
                quote = None;
                keep = value.len();
            }
            (Some('\''), c) => value.push(c),
            (Some(_), '\\') => match chars.next() {
                Some((_, '\n')) => {}
                Some((_, escaped @ ('"' | '\\' | '$' | '`'))) => value.push(escaped),
                Some((_, other)) => value.extend(['\\', other]),
                None => return Err(Fault::OpenQuote),
            },
            (Some(_), c) => value.push(c),
            (None, '\n') => {
                value.truncate(keep);
                return Ok((value, at + 1));
            }
            (None, '\'' | '"') => quote = Some(c),
            (None, '\\') => match chars.next() {
                Some((_, '\n')) | None => {}
                Some((_, escaped)) => {
                    value.push(escaped);
                    keep = value.len();
                }
            },
            (None, c) if c.is_whitespace() => {
                if !value.is_empty() {
                    value.push(c);
                }
            }
            (None, c) => {
                value.push(c);
                keep = value.len();
            }
        }
    }
    if quote.is_some() {
        return Err(Fault::OpenQuote);
    }
    value.truncate(keep);
    Ok((value, text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Vec<(String, String)> {
        parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_simple_form_is_read() {
        let text = "# comment\n; another\n\n  A=plain words  \nB='single $x \\n'\nC=\"two \\\" \\\\ \\$ \\x\"\n\
                    D=a\\\nb\nE=\nF=\"over\nlines\"\nG=it's' '\nA=again\r\nH=one\"two\"'three'\nI=#kept\nJ=a\\ b\\ ";
        let expected = [
            ("B", "single $x \\n"),
            ("C", "two \" \\ $ \\x"),
            ("D", "ab"),
            ("E", ""),
            ("F", "over\nlines"),
            ("G", "its "),
            ("A", "again"),
            ("H", "onetwothree"),
            ("I", "#kept"),
            ("J", "a b "),
        ];
        let text = text.replace("G=it's' '", "G=it's '");
        let expected: Vec<_> = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        assert_eq!(parsed(&text), expected);
        assert_eq!(parsed(""), []);
        assert_eq!(parsed("\u{feff}A=1"), [("A".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn what_cannot_be_understood_is_refused_with_its_line() {
        let bad = |text: &str| parse(text.as_bytes()).unwrap_err();
        assert_eq!(bad("A=1\nexport B=2\n"), (2, Fault::BadName));
        assert_eq!(bad("A=1\n\nB\nC=1"), (3, Fault::NoAssignment));
        assert_eq!(bad("root:x:0:0:\n"), (1, Fault::NoAssignment));
        assert_eq!(bad("A='x\n\n"), (1, Fault::OpenQuote));
        assert_eq!(bad("A=\"x\ny\"\nUNDERSTUDY_EPOCH=9"), (3, Fault::Reserved));
        assert_eq!(bad("NOTIFY_SOCKET=x"), (1, Fault::Reserved));
        assert_eq!(bad("1A=x"), (1, Fault::BadName));
        assert_eq!(bad("A=x\0y"), (1, Fault::NotText));
        assert_eq!(parse(b"A=1\nB=\xff").unwrap_err(), (2, Fault::NotText));
        let many: String = (0..=MOST_VARIABLES).map(|number| format!("V{number}=1\n")).collect();
        assert_eq!(bad(&many), (MOST_VARIABLES + 1, Fault::TooMany));
    }

    #[test]
    fn a_file_is_bounded_and_regular_and_its_words_are_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("env");
        let read_it = |path: &Path| read(path, open(path).unwrap());
        std::fs::write(&path, "SECRET WORD\n").unwrap();
        let text = read_it(&path).unwrap_err().to_string();
        assert!(text.contains("line 1") && !text.contains("SECRET"), "{text}");
        std::fs::write(&path, vec![b'#'; LONGEST_BYTES as usize + 1]).unwrap();
        assert!(matches!(read_it(&path), Err(EnvironmentFileError::TooLong { .. })));
        assert!(matches!(read_it(directory.path()), Err(EnvironmentFileError::NotRegular { .. })));
        // A pipe that nobody writes to keeps nobody waiting.
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(matches!(read_it(&pipe), Err(EnvironmentFileError::NotRegular { .. })));
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn a_quoted_value_is_read_back(value in "[^\0]{0,40}") {
            let quoted = format!("A='{}'\nB=1\n", value.replace('\'', "'\\''"));
            let variables = parse(quoted.as_bytes()).unwrap();
            prop_assert_eq!(&variables[0], &("A".to_owned(), value));
            prop_assert_eq!(variables[1].1.as_str(), "1");
        }
    }
}
