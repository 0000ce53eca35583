//! What applications printed, made harmless for a terminal.
//!
//! Knows no application. The law: nothing that an application prints moves a cursor, changes a title or rings a bell.

use std::fmt::Write;

/// The text with every control character but line ends and tabs written out.
pub fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            c if c.is_control() => {
                // Writing to a text never fails.
                let _ = write!(shown, "\\x{:02x}", u32::from(c));
            }
            // They turn the direction of what follows, which hides what is really there.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(
            harmless("a\tb\r\n\u{1b}[31mred\u{7}\u{9b}2J\u{202e}x\n"),
            "a\tb\\x0d\n\\x1b[31mred\\x07\\x9b2J\\u{202e}x\n"
        );
    }
}
