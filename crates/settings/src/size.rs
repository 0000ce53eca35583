//! Amounts as operators write them: plain numbers, sizes with a unit, and "unlimited".
//!
//! Knows no keys. The law: one way to read each amount, and no rounding. `K`, `M`, `G`, `T` are powers of 1024.

const UNITS: [(&str, u64); 5] = [("", 1), ("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40)];

/// How an amount of bytes is written.
pub(crate) const ALLOWED: &str = "a number of bytes, or a text such as \"512K\", \"64M\", \"2G\"";

/// A number and a unit, in bytes; none if it is written differently or beyond 64 bits.
pub(crate) fn from_text(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*bytes)
}

/// The shortest exact way to write an amount of bytes.
pub(crate) fn to_text(bytes: u64) -> String {
    let fits = |one: &&(&str, u64)| bytes > 0 && bytes.is_multiple_of(one.1);
    let (unit, size) = UNITS.iter().rev().find(fits).unwrap_or(&UNITS[0]);
    format!("{}{unit}", bytes / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_exact_and_nothing_else_is_read() {
        let good =
            [("0", 0), ("17", 17), ("512K", 512 << 10), ("64M", 64 << 20), ("2G", 2 << 30), ("1T", 1 << 40)];
        for (text, bytes) in good {
            assert_eq!(from_text(text), Some(bytes), "{text}");
            assert_eq!(to_text(bytes), text);
        }
        for bad in ["", "M", "-1", "1.5G", "1 G", "1KB", "1k", "99999999999T"] {
            assert_eq!(from_text(bad), None, "{bad}");
        }
    }
}
