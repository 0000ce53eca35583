//! Finds the known word that a mistyped one was most likely meant to be.
//!
//! Pure text; knows no keys. The law: a far-fetched guess is worse than none, so a guess differs in a third of its
//! characters at most.

/// Longest word that is compared, in characters: longer ones are no typing errors, and the cost is bounded.
const LONGEST_WORD: usize = 64;

/// The nearest of `known`, if one is near enough. The first of equally near ones.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word: Vec<char> = word.chars().flat_map(char::to_lowercase).take(LONGEST_WORD + 1).collect();
    if word.len() > LONGEST_WORD {
        return None;
    }
    known
        .into_iter()
        .map(|candidate| {
            (distance(&word, &candidate.chars().flat_map(char::to_lowercase).collect::<Vec<_>>()), candidate)
        })
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, changes and swaps of neighbours that lead from one word to the other.
fn distance(from: &[char], to: &[char]) -> usize {
    let width = to.len() + 1;
    let mut rows = vec![vec![0_usize; width]; from.len() + 1];
    for (column, cell) in rows[0].iter_mut().enumerate() {
        *cell = column;
    }
    for i in 1..=from.len() {
        rows[i][0] = i;
        for j in 1..width {
            let change = usize::from(from[i - 1] != to[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_seen_through_and_strangers_are_not() {
        let known = ["addp-timeout", "addp-remote-timeout", "addresses", "name"];
        assert_eq!(nearest("addp-timeot", known), Some("addp-timeout"));
        assert_eq!(nearest("ADDP-Timeout", known), Some("addp-timeout"));
        assert_eq!(nearest("nmae", known), Some("name"));
        assert_eq!(nearest("KIL", ["INT", "KILL"]), Some("KILL"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest(&"x".repeat(10_000), known), None);
        assert_eq!(nearest("", known), None);
    }

    #[test]
    fn a_swap_of_neighbours_counts_once() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        assert_eq!(distance(&chars("ab"), &chars("ba")), 1);
        assert_eq!(distance(&chars(""), &chars("abc")), 3);
    }
}
