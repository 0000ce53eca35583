//! What an application and its agent say to one another, as it travels.
//!
//! The words are the model's ([`FromApplication`], [`ToApplication`]); what is added here is the version, which goes
//! with the first message of each side. Knows nothing of run modes. The law: a first message always has a version,
//! a later one never.

use bytes::BytesMut;
use understudy_model::{FromApplication, ToApplication};

use crate::body::application as body;
use crate::error::{EncodeError, MessageError};
use crate::frame::{Frame, Kind};
use crate::message::{Message, read_body, write_body};
use crate::version::{SPOKEN, VersionRange};

/// The longest text for people (a reason, a problem, a cause), in bytes. Longer ones are cut when they are sent, and
/// refused when they are received.
pub const LONGEST_TEXT_BYTES: usize = 4096;

/// A message of an application. Made from the model's with `into()`; an `Attach` then says [`SPOKEN`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationSays {
    said: FromApplication,
    versions: Option<VersionRange>,
}

impl ApplicationSays {
    /// The same message, with other versions if it is an `Attach`.
    #[must_use]
    pub fn with_versions(mut self, versions: VersionRange) -> Self {
        self.versions = self.versions.map(|_| versions);
        self
    }

    /// What it says.
    pub fn said(&self) -> &FromApplication {
        &self.said
    }

    /// What it says, without the rest.
    pub fn into_said(self) -> FromApplication {
        self.said
    }

    /// The versions that the application speaks: always there with an `Attach`, never otherwise.
    pub fn versions(&self) -> Option<VersionRange> {
        self.versions
    }
}

impl From<FromApplication> for ApplicationSays {
    fn from(said: FromApplication) -> Self {
        let first = matches!(said, FromApplication::Attach { .. });
        Self { said, versions: first.then_some(SPOKEN) }
    }
}

/// A message to an application. Made from the model's with `into()`; an `Attached` then says the newest of [`SPOKEN`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationHears {
    said: ToApplication,
    version: Option<u16>,
}

impl ApplicationHears {
    /// The first answer, with the version that was chosen, 1 or higher.
    pub fn attached(version: u16) -> Self {
        Self { said: ToApplication::Attached, version: Some(version) }
    }

    /// What it says.
    pub fn said(&self) -> &ToApplication {
        &self.said
    }

    /// What it says, without the rest.
    pub fn into_said(self) -> ToApplication {
        self.said
    }

    /// The version that the agent chose: always there with an `Attached`, never otherwise.
    pub fn version(&self) -> Option<u16> {
        self.version
    }
}

impl From<ToApplication> for ApplicationHears {
    fn from(said: ToApplication) -> Self {
        let first = matches!(said, ToApplication::Attached);
        Self { said, version: first.then_some(SPOKEN.max) }
    }
}

impl Message for ApplicationSays {
    const KIND: Kind = Kind::FromApplication;

    fn to_frame(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        write_body::<body::FromApplication>(Self::KIND, self, out)
    }

    fn from_frame(frame: &Frame) -> Result<Self, MessageError> {
        read_body::<body::FromApplication>(Self::KIND, "FromApplication", frame)
    }
}

impl Message for ApplicationHears {
    const KIND: Kind = Kind::ToApplication;

    fn to_frame(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        write_body::<body::ToApplication>(Self::KIND, self, out)
    }

    fn from_frame(frame: &Frame) -> Result<Self, MessageError> {
        read_body::<body::ToApplication>(Self::KIND, "ToApplication", frame)
    }
}
