//! A primary's word on who has everything that was acknowledged, and its answer.
//!
//! Knows nothing of whose word is taken. The law: a word names the exact role in which its member acts.

use understudy_model as model;
use understudy_model::Incarnation;

use super::order::RoleEpoch;
use super::{Body, check, word};
use crate::error::{EncodeError, MessageError};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct InSyncAsk {
    #[prost(string, tag = "1")]
    pair: String,
    #[prost(bytes = "vec", tag = "2")]
    incarnation: Vec<u8>,
    #[prost(uint64, tag = "3")]
    number: u64,
    #[prost(message, optional, tag = "4")]
    role: Option<RoleEpoch>,
    #[prost(enumeration = "word::InSyncWish", tag = "5")]
    wish: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct InSyncAnswer {
    #[prost(string, tag = "1")]
    pair: String,
    #[prost(bytes = "vec", tag = "2")]
    incarnation: Vec<u8>,
    #[prost(uint64, tag = "3")]
    number: u64,
    #[prost(string, optional, tag = "4")]
    refused: Option<String>,
}

impl Body for InSyncAsk {
    type Said = model::InSyncAsk;

    fn write(said: &model::InSyncAsk) -> Result<Self, EncodeError> {
        Ok(Self {
            pair: said.pair.to_string(),
            incarnation: check::write_identity(said.incarnation.0),
            number: said.number,
            role: Some(RoleEpoch::write(&said.role)?),
            wish: word::InSyncWish::write(said.wish),
        })
    }

    fn read(self) -> Result<model::InSyncAsk, MessageError> {
        Ok(model::InSyncAsk {
            pair: check::name(&self.pair, "InSyncAsk.pair")?,
            incarnation: Incarnation(check::read_identity(&self.incarnation, "InSyncAsk.incarnation")?),
            number: self.number,
            role: check::read_required(self.role, "InSyncAsk.role")?,
            wish: word::InSyncWish::read(self.wish, "InSyncAsk.wish")?,
        })
    }
}

impl Body for InSyncAnswer {
    type Said = model::InSyncAnswer;

    fn write(said: &model::InSyncAnswer) -> Result<Self, EncodeError> {
        Ok(Self {
            pair: said.pair.to_string(),
            incarnation: check::write_identity(said.incarnation.0),
            number: said.number,
            refused: said.refused.as_deref().map(check::cut_text),
        })
    }

    fn read(self) -> Result<model::InSyncAnswer, MessageError> {
        Ok(model::InSyncAnswer {
            pair: check::name(&self.pair, "InSyncAnswer.pair")?,
            incarnation: Incarnation(check::read_identity(&self.incarnation, "InSyncAnswer.incarnation")?),
            number: self.number,
            refused: self.refused.map(|why| check::text(why, "InSyncAnswer.refused")).transpose()?,
        })
    }
}
