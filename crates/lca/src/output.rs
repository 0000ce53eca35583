//! What an application printed, as far as it helps to say why it ended.
//!
//! Refuses to know what an application is. The law: little is read, and what is told is one clean line.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::log_file;
use crate::secrets::Secrets;

/// How much of the end of a file is looked at.
const TAIL_BYTES: u64 = 2048;

/// Longest line that is told, in characters.
const LONGEST_LINE: usize = 200;

/// How long the output of earlier starts is; 0 if it cannot be known.
pub fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// The last line after the first `from` bytes of a file that is not empty, without control characters, cut to
/// [`LONGEST_LINE`], with every secret masked. Empty if there is none or the file cannot be read: it is a help for people,
/// and nothing rests on it.
pub fn last_words(path: &Path, from: u64, secrets: &Secrets) -> String {
    let bytes = tail(path, from, secrets.longest_bytes());
    bytes.map(|bytes| last_line(&secrets.mask(&String::from_utf8_lossy(&bytes)))).unwrap_or_default()
}

/// The last [`TAIL_BYTES`]; if something before them was left out, without what may be the rest of a secret.
fn tail(path: &Path, from: u64, longest_secret: usize) -> std::io::Result<Vec<u8>> {
    let mut file = log_file::open_to_read(path)?;
    let length = file.metadata()?.len();
    // It was rotated meanwhile: all that is left is newer.
    let from = if from > length { 0 } else { from };
    let look = TAIL_BYTES + longest_secret as u64;
    let begin = from.max(length.saturating_sub(look));
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.take(look).read_to_end(&mut bytes)?;
    if begin > from {
        bytes.drain(..longest_secret.min(bytes.len()));
    }
    Ok(bytes)
}

fn last_line(text: &str) -> String {
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.chars().filter(|one| !one.is_control()).take(LONGEST_LINE).collect::<String>().trim().to_owned()
}

/// The end of something that is printed, however much it is.
#[derive(Debug, Default)]
pub struct Tail {
    bytes: Vec<u8>,
    /// Something before them was dropped.
    cut: bool,
}

/// What a [`Tail`] keeps, in bytes; with as much again while it is filled.
const KEPT_BYTES: usize = 4096;
/// Lines that are told of a tail.
const TOLD_LINES: usize = 10;

impl Tail {
    /// More was printed.
    pub fn push(&mut self, bytes: &[u8]) {
        let from = bytes.len().saturating_sub(KEPT_BYTES);
        self.bytes.extend_from_slice(&bytes[from..]);
        let excess = if self.bytes.len() > 2 * KEPT_BYTES { self.bytes.len() - KEPT_BYTES } else { 0 };
        self.bytes.drain(..excess);
        self.cut |= from + excess > 0;
    }

    /// The last lines with something in them, cleaned and cut as [`last_words`] does, joined by `; `, with every secret
    /// masked.
    pub fn last_lines(&self, secrets: &Secrets) -> String {
        // Of a secret that lies across the cut, the rest would not be known again.
        let longest = secrets.longest_bytes().min(self.bytes.len());
        let bytes = if self.cut { &self.bytes[longest..] } else { &self.bytes[..] };
        let text = secrets.mask(&String::from_utf8_lossy(bytes));
        let mut lines: Vec<String> = text
            .lines()
            .rev()
            .filter(|line| !line.trim().is_empty())
            .take(TOLD_LINES)
            .map(last_line)
            .collect();
        lines.reverse();
        lines.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secrets {
        Secrets::of(&[("PASSWORD".to_owned(), "hunter2".to_owned())], &Default::default())
    }

    #[test]
    fn a_tail_is_short_clean_and_without_secrets() {
        let mut tail = Tail::default();
        for _ in 0..1000 {
            tail.push(&[b'x'; 10_000]);
        }
        assert!(tail.bytes.len() <= 2 * KEPT_BYTES);
        tail.push(b"\n\nfirst\n the hunter2 word\x07\n");
        assert!(tail.last_lines(&secret()).ends_with("; first; the *** word"));
        assert_eq!(Tail::default().last_lines(&Secrets::default()), "");
        let mut across = Tail::default();
        across.push(format!("hunter2{}", "y".repeat(KEPT_BYTES - 4)).as_bytes());
        assert!(!across.last_lines(&secret()).contains("ter2"));
    }

    #[test]
    fn the_last_line_with_something_in_it_is_told() {
        assert_eq!(last_line("first\nport 7000 is taken\n\n  \n"), "port 7000 is taken");
        assert_eq!(last_line("\u{1b}[31mred\u{7}"), "[31mred");
        assert_eq!(last_line(""), "");
        assert_eq!(last_line(&"x".repeat(999)).len(), LONGEST_LINE);
    }

    #[test]
    fn last_words_are_without_secrets_wherever_they_are_cut() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.log");
        std::fs::write(&path, "wrong password hunter2 for db://a:other@h\n").unwrap();
        assert_eq!(last_words(&path, 0, &secret()), "wrong password *** for db://a:***@h");
        for more in TAIL_BYTES as usize - 10..TAIL_BYTES as usize + 10 {
            std::fs::write(&path, format!("xhunter2{}", "y".repeat(more))).unwrap();
            let told = last_words(&path, 0, &secret());
            assert!(!told.contains("2y"), "{more}: {told}");
        }
    }

    #[test]
    fn only_the_end_of_a_file_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.log");
        std::fs::write(&path, format!("{}\nthe end\n", "y".repeat(1 << 20))).unwrap();
        assert_eq!(last_words(&path, 0, &secret()), "the end");
        assert_eq!(last_words(&path, length(&path), &secret()), "", "what an earlier start said is not told");
        assert_eq!(last_words(&directory.path().join("missing"), 0, &secret()), "");
    }
}
