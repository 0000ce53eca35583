//! Every kept input of fuzzing, fed to its parser on every run of the tests.
//!
//! The rules themselves are those of `fuzz/src/lib.rs`. The law: a directory for every parser and none without one, and
//! never more than is read in a moment.

#[path = "../../fuzz/src/lib.rs"]
mod rules;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use understudy_tests::top;

/// The most that may be kept of one target, in bytes.
const MOST_BYTES: u64 = 256 * 1024;

fn inputs(target: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(target).unwrap_or_else(|error| panic!("{}: {error}", target.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_kept_input_keeps_the_rules() {
    let corpus = top().join("fuzz/corpus");
    for (name, rule) in rules::TARGETS {
        let paths = inputs(&corpus.join(name));
        assert!(!paths.is_empty(), "{name} has no kept input");
        let bytes: u64 = paths.iter().map(|path| path.metadata().unwrap().len()).sum();
        assert!(bytes <= MOST_BYTES, "{bytes} bytes are kept for {name}, at most {MOST_BYTES} should be");
        for path in paths {
            let bytes = std::fs::read(&path).unwrap();
            // A panic says which rule; this says of which input.
            println!("{}", path.display());
            rule(&bytes);
        }
    }
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % bound.max(1)
    }

    /// One small change: a bit, a byte at a bound, a piece left out, said twice or taken from elsewhere, or an early end.
    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(bytes.len());
        let end = (at + 1 + self.below(16)).min(bytes.len());
        match self.below(7) {
            _ if bytes.is_empty() => bytes.extend_from_slice(other),
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF, b'\n', b'"', b'='][self.below(8)],
            2 => drop(bytes.drain(at..end)),
            3 => {
                let twice = bytes[at..end].to_vec();
                bytes.splice(at..at, twice);
            }
            4 => {
                let from = self.below(other.len());
                bytes.splice(at..at, other[from..(from + 16).min(other.len())].iter().copied());
            }
            5 => bytes.truncate(at),
            _ => bytes.push(bytes[at]),
        }
    }
}

#[test]
fn every_kept_input_with_small_changes_keeps_the_rules() {
    // More for longer runs; changes are guided by nothing, so ./scripts/fuzz finds more in the same time.
    let rounds = std::env::var("CORPUS_ROUNDS").map_or(400, |rounds| rounds.parse().unwrap());
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    for (name, rule) in rules::TARGETS {
        let paths = inputs(&top().join("fuzz/corpus").join(name));
        let kept: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
        // The same number for each parser, however many inputs are kept of it.
        for (round, first) in (0..rounds).zip(kept.iter().cycle()) {
            let mut bytes = first.clone();
            for _ in 0..1 + numbers.below(4) {
                let other = &kept[numbers.below(kept.len())];
                numbers.change(&mut bytes, other);
            }
            let kept_rule = std::panic::catch_unwind(|| rule(&bytes));
            assert!(kept_rule.is_ok(), "{name}, round {round}: {:?}", bytes.escape_ascii().to_string());
        }
    }
}

#[test]
fn every_parser_is_fuzzed_and_no_corpus_is_orphaned() {
    let rules: BTreeSet<String> = rules::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let stems = |directory: &str| -> BTreeSet<String> {
        let paths = inputs(&top().join(directory)).into_iter();
        paths.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(stems("fuzz/fuzz_targets"), rules);
    assert_eq!(stems("fuzz/corpus"), rules);
}
