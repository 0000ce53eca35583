//! What was written is read: every message, alone and one after the other, whole and in pieces.

mod values;

use bytes::BytesMut;
use proptest::prelude::*;
use understudy_wire::{FromAgent, Message, frame};

fn frame_of<M: Message>(message: &M) -> BytesMut {
    let mut bytes = BytesMut::new();
    message.to_frame(&mut bytes).expect("the message fits");
    bytes
}

fn read_back<M: Message + PartialEq + std::fmt::Debug>(message: &M) -> Result<(), TestCaseError> {
    let mut bytes = frame_of(message);
    let frame = frame::decode(&mut bytes).expect("a good frame").expect("a whole frame");
    prop_assert!(bytes.is_empty());
    prop_assert_eq!(&M::from_frame(&frame).expect("a good message"), message);
    Ok(())
}

proptest! {
    #[test]
    fn to_agent(message in values::to_agent()) {
        read_back(&message)?;
    }

    #[test]
    fn from_agent(message in values::from_agent()) {
        read_back(&message)?;
    }

    #[test]
    fn peer_said(message in values::peer_said()) {
        read_back(&message)?;
    }

    #[test]
    fn application_says(message in values::application_says()) {
        read_back(&message)?;
    }

    #[test]
    fn application_hears(message in values::application_hears()) {
        read_back(&message)?;
    }

    /// However a stream is cut into pieces, the same messages come out of it.
    #[test]
    fn a_stream_in_pieces(
        messages in proptest::collection::vec(values::from_agent(), 1..5),
        cuts in proptest::collection::vec(1usize..40, 1..30),
    ) {
        let stream: Vec<u8> = messages.iter().flat_map(|message| frame_of(message).to_vec()).collect();
        let (mut bytes, mut heard) = (BytesMut::new(), Vec::<FromAgent>::new());
        let (mut rest, mut cuts) = (&stream[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(rest.len().min(*cuts.next().expect("a cycle has no end")));
            bytes.extend_from_slice(piece);
            rest = later;
            while let Some(frame) = frame::decode(&mut bytes).expect("a good frame") {
                heard.push(FromAgent::from_frame(&frame).expect("a good message"));
            }
        }
        prop_assert_eq!(heard, messages);
    }
}
