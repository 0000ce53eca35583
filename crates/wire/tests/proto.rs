//! Keeps `understudy.proto` and the hand-written bodies equal: same messages, fields, numbers and types.
//!
//! Reads both as text: the one with a protocol buffer compiler, the other with a small scanner that knows only how the
//! bodies are laid out here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// For each message or list of words, its lines: `oneof said message Hello hello = 1`.
type Outline = BTreeMap<String, BTreeSet<String>>;

fn crate_directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_document_and_the_code_say_the_same() {
    let documented = outline_of_document(&crate_directory());
    let written = outline_of_code(&crate_directory().join("src/body"));
    assert!(documented.len() > 35, "the document was read: {documented:#?}");
    assert_eq!(documented.keys().collect::<Vec<_>>(), written.keys().collect::<Vec<_>>());
    for (name, lines) in &documented {
        assert_eq!(lines, &written[name], "{name}: left the document, right the code");
    }
}

#[test]
fn the_scanner_sees_a_difference() {
    let source = "
        #[derive(Clone, PartialEq, prost::Message)]
        pub(crate) struct Hello {
            #[prost(message, optional, tag = \"1\")]
            versions: Option<VersionRange>,
            #[prost(string, tag = \"7\")]
            controller: String,
        }
    ";
    let mut scanned = Scan::default();
    scanned.read(source);
    let lines = &scanned.finish()["Hello"];
    let documented = &outline_of_document(&crate_directory())["Hello"];
    assert!(documented.contains("message VersionRange versions = 1"));
    assert!(lines.contains("message VersionRange versions = 1"));
    assert!(lines.contains("string controller = 7"));
    assert!(!documented.contains("string controller = 7"));
}

fn outline_of_document(directory: &Path) -> Outline {
    let files = protox::compile(["understudy.proto"], [directory]).expect("the document compiles");
    let file = &files.file[0];
    let mut outline = Outline::new();
    for message in &file.message_type {
        let mut lines = BTreeSet::new();
        for field in &message.field {
            let scalar = |kind: &str| kind.trim_start_matches("TYPE_").to_lowercase();
            let short = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
            let type_name = short(field.type_name());
            let entry = message.nested_type.iter().find(|nested| nested.name() == type_name);
            let of = match scalar(field.r#type().as_str_name()).as_str() {
                "message" if entry.is_some() => {
                    let parts = &entry.expect("just seen").field;
                    let part = |index: usize| match scalar(parts[index].r#type().as_str_name()).as_str() {
                        "message" => short(parts[index].type_name()),
                        plain => plain.to_owned(),
                    };
                    format!("map {} {}", part(0), part(1))
                }
                "message" => format!("message {type_name}"),
                "enum" => format!("enum {type_name}"),
                plain => plain.to_owned(),
            };
            let label = match field.oneof_index {
                _ if field.proto3_optional() => "optional ".to_owned(),
                Some(index) => format!("oneof {} ", message.oneof_decl[index as usize].name()),
                None if field.label().as_str_name() == "LABEL_REPEATED" && entry.is_none() => {
                    "repeated ".to_owned()
                }
                None => String::new(),
            };
            lines.insert(format!("{label}{of} {} = {}", field.name(), field.number()));
        }
        outline.insert(message.name().to_owned(), lines);
    }
    for words in &file.enum_type {
        let lines = words.value.iter().map(|word| format!("{} = {}", word.name(), word.number())).collect();
        outline.insert(words.name().to_owned(), lines);
    }
    outline
}

fn outline_of_code(directory: &Path) -> Outline {
    let mut scan = Scan::default();
    for entry in std::fs::read_dir(directory).expect("the bodies are there") {
        let path = entry.expect("the directory can be read").path();
        scan.read(&std::fs::read_to_string(&path).expect("a body can be read"));
    }
    scan.finish()
}

/// What was found so far. A choice (`oneof`) is an enum of its own in the code, and part of a message in the document.
#[derive(Default)]
struct Scan {
    messages: Outline,
    words: Outline,
    choices: BTreeMap<String, Vec<String>>,
    uses: Vec<(String, String, String)>,
}

impl Scan {
    fn read(&mut self, source: &str) {
        let lines: Vec<&str> = source.lines().map(str::trim).filter(|line| !line.starts_with("//")).collect();
        let mut at = 0;
        while at < lines.len() {
            let line = lines[at];
            at += 1;
            if line.starts_with("numbered_words!(") {
                let end = (at - 1..lines.len())
                    .find(|end| lines[*end].contains(')'))
                    .expect("a list of words ends");
                self.read_words(&lines[at - 1..=end].join(" "));
                at = end + 1;
            } else if line.ends_with("prost::Message)]") || line.ends_with("prost::Oneof)]") {
                let name = lines[at].split_whitespace().nth(2).expect("a type has a name");
                let name = name.trim_end_matches("{}").to_owned();
                let end = match lines[at].ends_with("{}") {
                    true => at,
                    false => (at..lines.len()).find(|end| lines[*end] == "}").expect("a type ends"),
                };
                let fields = if end == at { &[] } else { &lines[at + 1..end] };
                self.read_fields(&name, line.contains("prost::Message"), fields);
                at = end + 1;
            }
        }
    }

    fn read_fields(&mut self, name: &str, is_message: bool, lines: &[&str]) {
        if is_message {
            self.messages.entry(name.to_owned()).or_default();
        }
        assert!(lines.len().is_multiple_of(2), "{name}: one attribute for each field");
        for pair in lines.chunks(2) {
            let attribute = pair[0].strip_prefix("#[prost(").and_then(|rest| rest.strip_suffix(")]"));
            let attribute = attribute.unwrap_or_else(|| panic!("{name}: {:?} is no attribute", pair[0]));
            if is_message {
                let (field, of) = pair[1].trim_end_matches(',').split_once(": ").expect("a field has a type");
                self.read_field(name, field, of, attribute);
            } else {
                let (variant, of) =
                    pair[1].trim_end_matches("),").split_once('(').expect("a variant has a type");
                let line =
                    format!("{} {} = {}", kind(attribute, of), snake(variant), value(attribute, "tag"));
                self.choices.entry(name.to_owned()).or_default().push(line);
            }
        }
    }

    fn read_field(&mut self, message: &str, field: &str, of: &str, attribute: &str) {
        if attribute.starts_with("oneof") {
            let choice = value(attribute, "oneof");
            self.uses.push((message.to_owned(), field.to_owned(), choice.clone()));
            let tags = format!("{choice} tags {}", value(attribute, "tags"));
            self.choices.entry(tags).or_default();
            return;
        }
        let optional = attribute.contains(", optional") && !attribute.starts_with("message");
        let label = match attribute.contains(", repeated") {
            true => "repeated ",
            false if optional => "optional ",
            false => "",
        };
        let line = format!("{label}{} {field} = {}", kind(attribute, of), value(attribute, "tag"));
        self.messages.entry(message.to_owned()).or_default().insert(line);
    }

    fn read_words(&mut self, text: &str) {
        let inner = text.strip_prefix("numbered_words!(").expect("seen by the caller");
        let (name, rest) = inner.split_once('{').expect("words are in braces");
        let prefix = snake(name.trim()).to_uppercase();
        let mut lines = BTreeSet::from([format!("{prefix}_UNSPECIFIED = 0")]);
        for word in
            rest.split('}').next().unwrap_or_default().split(',').filter(|word| !word.trim().is_empty())
        {
            let (word, number) = word.split_once('=').expect("a word has a number");
            lines.insert(format!("{prefix}_{} = {}", snake(word.trim()).to_uppercase(), number.trim()));
        }
        self.words.insert(name.trim().to_owned(), lines);
    }

    fn finish(mut self) -> Outline {
        for (message, field, choice) in &self.uses {
            let variants = self.choices.get(choice).unwrap_or_else(|| panic!("{choice} is a choice"));
            let numbers: Vec<&str> = variants.iter().filter_map(|line| line.rsplit(' ').next()).collect();
            let tags = format!("{choice} tags {}", numbers.join(", "));
            assert!(
                self.choices.contains_key(&tags),
                "{message}.{field} lists the numbers of {choice}: {tags}"
            );
            let lines = variants.iter().map(|line| format!("oneof {field} {line}"));
            self.messages.entry(message.clone()).or_default().extend(lines);
        }
        self.messages.append(&mut self.words);
        self.messages
    }
}

/// The type of a field, as the document would say it.
fn kind(attribute: &str, of: &str) -> String {
    let inner = of.trim_start_matches("Option<").trim_start_matches("Vec<").trim_end_matches('>');
    let first = attribute.split([',', ' ']).next().unwrap_or_default();
    match first {
        "message" => format!("message {inner}"),
        "enumeration" => {
            format!("enum {}", value(attribute, "enumeration").rsplit("::").next().unwrap_or_default())
        }
        "btree_map" => {
            let parts = value(attribute, "btree_map");
            let (key, content) = parts.split_once(", ").expect("a map has two parts");
            match content {
                "message" => format!("map {key} {}", inner.rsplit(", ").next().unwrap_or_default()),
                plain => format!("map {key} {plain}"),
            }
        }
        plain => plain.to_owned(),
    }
}

/// The quoted value after `key = `.
fn value(attribute: &str, key: &str) -> String {
    let start = format!("{key} = \"");
    let (_, rest) = attribute.split_once(&start).unwrap_or_else(|| panic!("{attribute:?} has no {key}"));
    rest.split('"').next().unwrap_or_default().to_owned()
}

fn snake(camel: &str) -> String {
    let mut snake = String::new();
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
