//! Server-sent events, as they come from the control server.
//!
//! It knows no connection. The law: an event is given once it is whole, and nothing that a server sends grows without
//! a bound.

use serde_json::Value;

use crate::exit::{Exit, Failure};

/// The longest event, in bytes.
const LONGEST_EVENT_BYTES: usize = 1024 * 1024;

/// What a stream brings.
#[derive(Debug, PartialEq)]
pub enum Heard {
    /// An event with its number.
    Event(i64, Value),
    /// The server ends it, for this reason.
    End(String),
}

/// Makes events of bytes.
#[derive(Debug, Default)]
pub struct EventReader {
    pending: Vec<u8>,
    kind: String,
    id: i64,
    text: String,
}

impl EventReader {
    /// Takes bytes as they came.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() + self.text.len() > LONGEST_EVENT_BYTES {
            return Err(Failure::new(Exit::Failed, "the control server sent an event without an end"));
        }
        Ok(())
    }

    /// The next whole event of what was taken.
    pub fn next(&mut self) -> Result<Option<Heard>, Failure> {
        while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.pending.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                if let Some(heard) = self.whole()? {
                    return Ok(Some(heard));
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "data" => self.text.push_str(value),
                "event" => value.clone_into(&mut self.kind),
                "id" => self.id = value.parse().unwrap_or(self.id),
                // A comment, or a field of a later version.
                _ => {}
            }
        }
        Ok(None)
    }

    fn whole(&mut self) -> Result<Option<Heard>, Failure> {
        let (kind, text) = (std::mem::take(&mut self.kind), std::mem::take(&mut self.text));
        if text.is_empty() {
            return Ok(None);
        }
        let value: Value = serde_json::from_str(&text).map_err(|error| {
            Failure::new(Exit::Failed, format!("the control server sent an event that is none: {error}"))
        })?;
        if kind == "end" {
            let because = value["because"].as_str().unwrap_or("no reason was given");
            return Ok(Some(Heard::End(because.to_owned())));
        }
        Ok(Some(Heard::Event(self.id, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_given_when_they_are_whole_however_their_bytes_come() {
        let bytes = b": still here\n\nid: 7\ndata: {\"a\": 1}\n\nid: 8\r\ndata: {\"b\":\r\ndata:  2}\r\n\r\nevent: end\ndata: {\"because\": \"x\"}\n\n";
        for size in 1..bytes.len() {
            let (mut reader, mut heard) = (EventReader::default(), Vec::new());
            for piece in bytes.chunks(size) {
                reader.take(piece).unwrap();
                while let Some(one) = reader.next().unwrap() {
                    heard.push(one);
                }
            }
            let expected = [
                Heard::Event(7, json!({ "a": 1 })),
                Heard::Event(8, json!({ "b": 2 })),
                Heard::End("x".to_owned()),
            ];
            assert_eq!(heard, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn an_event_without_an_end_is_not_read_for_ever() {
        let mut reader = EventReader::default();
        let piece = vec![b'a'; 64 * 1024];
        assert!((0..32).any(|_| reader.take(&piece).is_err()));
    }
}
