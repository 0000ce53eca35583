//! What the tests of the whole house share: where it stands, and how a generated page is kept true.
//!
//! The law: a page that a test generates is never edited by hand; `UPDATE_REFERENCE=1` writes it anew.

use std::path::{Path, PathBuf};

/// The top of the workspace.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is inside the workspace").to_path_buf()
}

/// Compares a page under `docs/` with what it should say, or writes it if `UPDATE_REFERENCE` is set.
///
/// # Panics
/// If it says something else; the message names the command that writes it.
pub fn keep_page(path: &str, text: &str) {
    let page = top().join("docs").join(path);
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::create_dir_all(page.parent().expect("a page is in a folder"))
            .expect("the folder can be made");
        std::fs::write(&page, text).expect("the page can be written");
        return;
    }
    let found = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        found == text,
        "docs/{path} does not say what the code says; run: UPDATE_REFERENCE=1 cargo test -p understudy-tests"
    );
}

/// Every file below `folder` with that ending, in the order of their names.
pub fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
