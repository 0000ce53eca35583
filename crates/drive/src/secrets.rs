//! What must not be told: passwords and the like, in whatever an application, a hook of it, or a command of the settings prints.
//!
//! Refuses to know who prints. The law: what settings, options, arguments and environment files call a secret by its name is
//! masked in everything that leaves this host; so is a password in a URL, whatever it is called.

use std::collections::BTreeMap;
use std::ops::Range;

/// Words in a name that say that its value is nobody's business.
const WORDS: [&str; 6] = ["SECRET", "PASS", "TOKEN", "KEY", "AUTH", "CREDENTIAL"];
/// A shorter value is no secret, and would be found everywhere.
const SHORTEST_BYTES: usize = 4;
/// What is shown instead.
const MASK: &str = "***";
/// What ends the part of a URL that may hold a password.
const ENDS_AUTHORITY: &[char] = &['/', '?', '#', '"', '\'', '<', '>', '`', ',', ';'];

/// The secrets of one start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// The longest first, so that one that is a part of another leaves nothing of that.
    values: Vec<String>,
}

impl Secrets {
    /// Those of an environment, as the program gets it, and of its options.
    pub fn of(
        environment: &[(String, String)],
        options: &BTreeMap<String, BTreeMap<String, String>>,
    ) -> Self {
        let options = options.values().flatten();
        let named = environment.iter().map(|(name, value)| (name, value)).chain(options);
        Self::named(named.map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// Those of a command: what an argument names (`--password=...`, `--password ...`, `PASSWORD=...`, and `-p` or `-P`, as
    /// commands for power switches have it), and passwords in URLs.
    pub fn of_command(arguments: &[String]) -> Self {
        let mut before = "";
        let mut named = Vec::new();
        for argument in arguments {
            named.push(match argument.split_once('=') {
                Some((name, value)) if is_name(name) => (name, value),
                _ if matches!(before, "-p" | "-P") => ("password", argument.as_str()),
                _ if before.starts_with("--") => (before, argument.as_str()),
                _ => ("", argument.as_str()),
            });
            before = argument;
        }
        Self::named(named.into_iter())
    }

    fn named<'a>(named: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut values = Vec::new();
        for (name, value) in named {
            if is_secret(name) {
                values.push(value.to_owned());
                // Of one that has several lines, each is told by itself.
                values.extend(value.lines().map(|line| line.trim().to_owned()));
            }
            values.extend(passwords(value).into_iter().map(|range| value[range].to_owned()));
        }
        values.retain(|value| value.len() >= SHORTEST_BYTES);
        values.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        values.dedup();
        Self { values }
    }

    /// How long the longest is, in bytes: so much of what was cut off may be the rest of one.
    pub fn longest_bytes(&self) -> usize {
        self.values.first().map_or(0, String::len)
    }

    /// The same of a text of which the beginning was cut off: without what may be the rest of one, and the rest of a word.
    pub fn mask_rest(&self, text: &str) -> String {
        let rests = self.values.iter().flat_map(|value| value.char_indices().map(|(at, _)| &value[at..]));
        let rest = rests.filter(|rest| text.starts_with(rest)).map(str::len).max().unwrap_or(0);
        let text = &text[rest..];
        self.mask(text.find(char::is_whitespace).map_or(text, |end| &text[end..]))
    }

    /// The text with a mask in place of each.
    pub fn mask(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for value in &self.values {
            if masked.contains(value) {
                masked = masked.replace(value, MASK);
            }
        }
        for range in passwords(&masked).into_iter().rev() {
            masked.replace_range(range, MASK);
        }
        masked
    }
}

/// Whether what stands before a `=` is a name, and not the beginning of something that has a `=` in it.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    WORDS.iter().any(|word| name.contains(word))
}

/// Where the passwords of URLs are, as in `scheme://user:password@host`, in order.
fn passwords(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find("://") {
        let begin = from + at + "://".len();
        let rest = &text[begin..];
        let length =
            rest.find(|c: char| c.is_whitespace() || ENDS_AUTHORITY.contains(&c)).unwrap_or(rest.len());
        let authority = &rest[..length];
        if let Some(end) = authority.rfind('@')
            && let Some(colon) = authority[..end].find(':')
            && colon + 1 < end
        {
            found.push(begin + colon + 1..begin + end);
        }
        from = begin + length;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(environment: &[(&str, &str)]) -> Secrets {
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let section = BTreeMap::from([("api-token".to_owned(), "from-options".to_owned())]);
        Secrets::of(&environment, &BTreeMap::from([("s".to_owned(), section)]))
    }

    #[test]
    fn names_say_what_is_a_secret() {
        for name in ["A_SECRET", "DB_PASSWORD", "pass", "token", "API_KEY", "REDISCLI_AUTH", "MY_CREDENTIALS"]
        {
            assert_eq!(secrets(&[(name, "hunter2")]).mask("it is hunter2!"), "it is ***!", "{name}");
        }
        let plain = secrets(&[("NAME", "hunter2"), ("PASS", "abc")]);
        assert_eq!(plain.mask("hunter2 abc from-options"), "hunter2 abc ***", "short ones are none");
        assert_eq!(plain.longest_bytes(), "from-options".len());
    }

    #[test]
    fn arguments_of_a_command_are_named_too() {
        let of = |arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
            Secrets::of_command(&arguments).mask("wrong: hunter2")
        };
        for arguments in [
            &["fence", "--password", "hunter2"][..],
            &["fence", "--password=hunter2"],
            &["env", "API_TOKEN=hunter2", "fence"],
            &["fence", "-p", "hunter2"],
            &["ipmitool", "-P", "hunter2"],
            &["curl", "https://admin:hunter2@board/off"],
        ] {
            assert_eq!(of(arguments), "wrong: ***", "{arguments:?}");
        }
        assert_eq!(of(&["fence", "--user", "hunter2", "-n", "hunter2"]), "wrong: hunter2");
    }

    #[test]
    fn of_a_text_that_was_cut_the_rest_of_a_secret_is_not_told() {
        let two = secrets(&[("A_KEY", "hunter2"), ("B_KEY", "a long phrase")]);
        assert_eq!(two.mask_rest("ter2, and hunter2"), " and ***");
        assert_eq!(two.mask_rest("ong phrase is wrong"), " is wrong");
        assert_eq!(two.mask_rest("p%40ss@db is down"), " is down", "the rest of a URL");
        assert_eq!(two.mask_rest("word"), "word", "there is nothing else to tell");
    }

    #[test]
    fn one_inside_another_and_one_of_several_lines_leave_nothing() {
        let two = secrets(&[("A_KEY", "hunter2"), ("B_KEY", "hunter2-and-more")]);
        assert_eq!(two.mask("hunter2-and-more hunter2"), "*** ***");
        let lines = secrets(&[("KEY", "-----\nabcdefgh\nijklmnop\n")]);
        assert_eq!(lines.mask("found ijklmnop"), "found ***");
    }

    #[test]
    fn a_password_in_a_url_is_masked_whatever_its_name_is() {
        let none = Secrets::default();
        let masked = none.mask("cannot reach postgres://app:p%40ss:w@db/x?y or http://u@h/ (amqp://a:b@c)");
        assert_eq!(masked, "cannot reach postgres://app:***@db/x?y or http://u@h/ (amqp://a:***@c)");
        assert_eq!(none.mask("http://h:80/a:b@c and x://:@h ://"), "http://h:80/a:b@c and x://:@h ://");
        let known = secrets(&[("DATABASE", "postgres://app:hunter2@db/x")]);
        assert_eq!(known.mask("wrong password hunter2"), "wrong password ***");
    }
}
