//! Tokens as rows. It knows no server; the law: absent is shown as words, never as nothing.

use super::Show;
use super::ago::ago;
use super::table::{Table, cell, toned};
use crate::answers::Token;
use crate::out::Tone;

/// All tokens.
pub fn tokens(tokens: &[Token], show: Show) -> String {
    let mut table = Table::new(&["TOKEN", "ROLE", "MADE BY", "MADE", "LAST USED", "EXPIRES"]);
    for token in tokens {
        let expires = match (&token.expires, token.expired) {
            (_, true) => toned("expired", Tone::Bad),
            (Some(expires), false) => cell(expires.clone()),
            (None, false) => cell("never"),
        };
        let last_used = token.last_used.as_deref().map_or("never".to_owned(), |at| ago(show.now, Some(at)));
        table.row(vec![
            cell(token.name.clone()),
            cell(token.role.clone()),
            cell(token.made_by.clone()),
            cell(ago(show.now, Some(&token.made))),
            cell(last_used),
            expires,
        ]);
    }
    if table.is_empty() { "no tokens\n".to_owned() } else { table.text(show.paint) }
}
