//! What an application printed, piece by piece.
//!
//! Knows no files. The law: a piece, a place and a number of lines are bounded.

use understudy_model as model;
use understudy_model::logs::{LONGEST_LOG_PLACE_BYTES, MOST_LOG_BYTES, MOST_LOG_LINES};

use super::{Body, check};
use crate::error::{EncodeError, MessageError};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LogQuestion {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    application: String,
    #[prost(uint32, tag = "3")]
    lines: u32,
    #[prost(sint64, optional, tag = "4")]
    since_wall_ms: Option<i64>,
    #[prost(string, optional, tag = "5")]
    after: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LogAnswer {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, optional, tag = "2")]
    problem: Option<String>,
    #[prost(bytes = "vec", tag = "3")]
    bytes: Vec<u8>,
    #[prost(string, tag = "4")]
    next: String,
    #[prost(bool, tag = "5")]
    more: bool,
    #[prost(bool, tag = "6")]
    missing: bool,
}

impl Body for LogQuestion {
    type Said = model::LogQuestion;

    fn write(said: &model::LogQuestion) -> Result<Self, EncodeError> {
        let (lines, since_wall_ms, after) = match &said.from {
            model::LogPlace::Last { lines, since_wall_ms } => {
                check::bound_written(*lines as usize, MOST_LOG_LINES as usize, "LogQuestion.lines")?;
                (*lines, *since_wall_ms, None)
            }
            model::LogPlace::After(place) => {
                check::bound_written(place.len(), LONGEST_LOG_PLACE_BYTES, "LogQuestion.after")?;
                (0, None, Some(place.clone()))
            }
        };
        Ok(Self { id: said.id, application: said.application.to_string(), lines, since_wall_ms, after })
    }

    fn read(self) -> Result<model::LogQuestion, MessageError> {
        check::bound_read(self.lines as usize, MOST_LOG_LINES as usize, "LogQuestion.lines")?;
        let from = match self.after {
            None => model::LogPlace::Last { lines: self.lines, since_wall_ms: self.since_wall_ms },
            Some(place) => {
                check::bound_read(place.len(), LONGEST_LOG_PLACE_BYTES, "LogQuestion.after")?;
                model::LogPlace::After(place)
            }
        };
        let application = check::name(&self.application, "LogQuestion.application")?;
        Ok(model::LogQuestion { id: self.id, application, from })
    }
}

impl Body for LogAnswer {
    type Said = model::LogAnswer;

    fn write(said: &model::LogAnswer) -> Result<Self, EncodeError> {
        match &said.outcome {
            Err(problem) => {
                Ok(Self { id: said.id, problem: Some(check::cut_text(problem)), ..Self::default() })
            }
            Ok(piece) => {
                check::bound_written(piece.bytes.len(), MOST_LOG_BYTES, "LogAnswer.bytes")?;
                check::bound_written(piece.next.len(), LONGEST_LOG_PLACE_BYTES, "LogAnswer.next")?;
                Ok(Self {
                    id: said.id,
                    problem: None,
                    bytes: piece.bytes.clone(),
                    next: piece.next.clone(),
                    more: piece.more,
                    missing: piece.missing,
                })
            }
        }
    }

    fn read(self) -> Result<model::LogAnswer, MessageError> {
        check::bound_read(self.bytes.len(), MOST_LOG_BYTES, "LogAnswer.bytes")?;
        check::bound_read(self.next.len(), LONGEST_LOG_PLACE_BYTES, "LogAnswer.next")?;
        let outcome = match self.problem {
            Some(problem) => Err(check::text(problem, "LogAnswer.problem")?),
            None => Ok(model::LogPiece {
                bytes: self.bytes,
                next: self.next,
                more: self.more,
                missing: self.missing,
            }),
        };
        Ok(model::LogAnswer { id: self.id, outcome })
    }
}
