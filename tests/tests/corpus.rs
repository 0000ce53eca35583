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
