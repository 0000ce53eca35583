//! The page of commands says what the command line says.

#[test]
fn the_page_of_commands_is_true() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/commands.md");
    let text = format!(
        "# Commands of `scsctl`\n\n*Made from the code by a test; do not edit. `UPDATE_REFERENCE=1 cargo test -p \
         understudy-scsctl --test reference` writes it.*\n\n{}",
        understudy_scsctl::commands_markdown()
    );
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&page, &text).expect("the page can be written");
    }
    let found = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(found == text, "run: UPDATE_REFERENCE=1 cargo test -p understudy-scsctl --test reference");
}
