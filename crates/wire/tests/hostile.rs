//! Whatever a stranger sends: refused by name or waited for, never believed, and never a panic.

mod values;

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;
use understudy_model::{
    AgentId, ApplicationReport, ApplicationStatus, ControllerEpoch, FromApplication, Goal, Incarnation,
    Inventory, Readiness, RunMode, ToApplication,
};
use understudy_wire::frame::{self, HEADER_BYTES};
use understudy_wire::*;

fn frame_of<M: Message>(message: &M) -> BytesMut {
    let mut bytes = BytesMut::new();
    message.to_frame(&mut bytes).expect("the message fits");
    bytes
}

fn a_message() -> ApplicationHears {
    ToApplication::SetRunMode { run_mode: RunMode::Primary, epoch: understudy_model::Epoch(7) }.into()
}

/// A frame of that kind around any body.
fn framed(kind: Kind, body: &[u8]) -> Frame {
    let mut bytes = BytesMut::new();
    frame::encode(kind, body, &mut bytes).expect("the body fits");
    frame::decode(&mut bytes).expect("a good frame").expect("a whole frame")
}

#[test]
fn no_change_of_one_byte_goes_unseen() {
    let good = frame_of(&a_message());
    for at in 0..good.len() {
        for change in 1..=u8::MAX {
            let mut bad = good.clone();
            bad[at] ^= change;
            let outcome = frame::decode(&mut bad);
            let still_waits = matches!(outcome, Ok(None));
            assert!(still_waits || outcome.is_err(), "byte {at} changed by {change:02x} gave {outcome:?}");
            assert!(!still_waits || (4..8).contains(&at), "only a longer length can wait, not byte {at}");
        }
    }
}

#[test]
fn a_frame_cut_short_anywhere_is_waited_for() {
    let good = frame_of(&a_message());
    for length in 0..good.len() {
        let mut part = BytesMut::from(&good[..length]);
        assert_eq!(frame::decode(&mut part), Ok(None), "{length} bytes");
        assert_eq!(part, good[..length], "nothing is taken");
    }
}

#[test]
fn another_protocol_is_refused_at_its_first_byte() {
    for other in ["GET / HTTP/1.1", "\x16\x03\x01", "UX", "\0"] {
        let refused = frame::decode(&mut BytesMut::from(other)).unwrap_err();
        assert!(matches!(refused, FrameError::BadMagic { .. }), "{other:?} gave {refused}");
    }
    assert_eq!(
        frame::decode(&mut BytesMut::from("US\x02")),
        Err(FrameError::UnknownFrameVersion { found: 2 })
    );
    assert_eq!(frame::decode(&mut BytesMut::from("US\x01\x00")), Err(FrameError::UnknownKind { found: 0 }));
    assert_eq!(frame::decode(&mut BytesMut::from("US\x01\x07")), Err(FrameError::UnknownKind { found: 7 }));
}

#[test]
fn an_oversized_frame_is_refused_before_room_is_made_for_it() {
    for (length, limit) in [(u32::MAX, MAX_FRAME_BYTES), (1024 * 1024 - 11, MAX_FRAME_BYTES), (100, 64)] {
        let mut bytes = BytesMut::from(&b"US\x01\x01"[..]);
        bytes.put_u32_le(length);
        let room = bytes.capacity();
        let refused = frame::decode_within(&mut bytes, limit);
        assert_eq!(refused, Err(FrameError::Oversized { bytes: u64::from(length) + 12, limit }));
        assert_eq!(bytes.capacity(), room);
    }
}

#[test]
fn the_longest_frame_passes_and_one_byte_more_does_not() {
    let longest = vec![7; MAX_FRAME_BYTES - HEADER_BYTES];
    assert_eq!(framed(Kind::ToAgent, &longest).body, longest);
    let mut out = BytesMut::from("before");
    let refused = frame::encode(Kind::ToAgent, &vec![7; longest.len() + 1], &mut out);
    assert_eq!(
        refused,
        Err(FrameError::Oversized { bytes: MAX_FRAME_BYTES as u64 + 1, limit: MAX_FRAME_BYTES })
    );
    assert_eq!(out, "before");
}

#[test]
fn a_frame_of_another_conversation_is_refused_by_its_kind() {
    let frame = frame::decode(&mut frame_of(&a_message())).unwrap().unwrap();
    let refused = ToAgent::from_frame(&frame).unwrap_err();
    assert_eq!(refused.to_string(), "a frame of kind ToApplication, ToAgent is spoken here");
}

#[test]
fn each_fault_of_a_body_names_its_field() {
    // Written by hand in the protocol buffer form: number and type, length, content.
    let cases: &[(Kind, &[u8], &str)] = &[
        (Kind::ToApplication, b"", "ToApplication.said is missing, or of a newer version"),
        (Kind::ToApplication, b"\x7a\x00", "ToApplication.said is missing, or of a newer version"),
        (Kind::ToApplication, b"\x1a\x00", "SetRunMode.run_mode is missing, or of a newer version"),
        (Kind::ToApplication, b"\x1a\x02\x08\x63", "SetRunMode.run_mode has the unknown number 99"),
        (Kind::ToApplication, b"\x0a\x00", "Attached.version is 0, 1 to 65535 are allowed"),
        (
            Kind::ToApplication,
            b"\x0a\x04\x08\x80\x80\x04",
            "Attached.version is 65536, 1 to 65535 are allowed",
        ),
        (Kind::ToApplication, b"\x1a\x09\x08", "the body is not a ToApplication"),
        (Kind::FromApplication, b"\x0a\x00", "Attach.versions is missing, or of a newer version"),
        (Kind::FromApplication, b"\x0a\x06\x0a\x04\x08\x01\x10\x01", "Attach.application is not a name"),
        (
            Kind::FromApplication,
            b"\x0a\x06\x0a\x04\x08\x02\x10\x01",
            "VersionRange.min is 2, 1 to 1 are allowed",
        ),
        (Kind::FromApplication, b"\x12\x00", "Readiness.is is missing, or of a newer version"),
        (Kind::ToAgent, b"\x12\x00", "Order.incarnation is missing, or of a newer version"),
        (Kind::ToAgent, b"\x12\x03\x12\x01\x00", "Order.incarnation has 1 bytes, an identity has 16"),
        (Kind::FromAgent, b"\x22\x02\x08\x01", "Answer.outcome is missing, or of a newer version"),
        (Kind::FromAgent, b"\x22\x02\x1a\x00", "Refusal.cause is missing, or of a newer version"),
        (Kind::FromAgent, b"\x2a\x03\x0a\x01{", "Events.json has an event that is not JSON"),
        (Kind::Peer, b"", "PeerSaid.said is missing, or of a newer version"),
        (Kind::Peer, b"\x7a\x00", "PeerSaid.said is missing, or of a newer version"),
        (Kind::Peer, b"\x0a\x00", "PeerHello.versions is missing, or of a newer version"),
        (Kind::Peer, b"\x12\x02\x08\x03", "PeerWelcome.agent is missing, or of a newer version"),
        (Kind::Peer, b"\x22\x00", "VoteAsk.pair is not a name"),
        (Kind::Peer, b"\x2a\x00", "VoteAnswer.verdict is missing, or of a newer version"),
        (Kind::Peer, b"\x32\x03\x0a\x01p", "Release.role is missing, or of a newer version"),
        (Kind::FromAgent, b"\xf2\x01\x00", "InSyncAsk.pair is not a name"),
        (Kind::FromApplication, b"\xf2\x01\x02\x08\x01", "InSync.wish is missing, or of a newer version"),
        (Kind::FromApplication, b"\xf2\x01\x02\x18\x09", "InSync.wish has the unknown number 9"),
        (Kind::FromAgent, b"\x0a\x02\x08\x01", "Welcome.inventory is missing, or of a newer version"),
    ];
    for (kind, body, says) in cases {
        let frame = framed(*kind, body);
        let refused = match kind {
            Kind::ToAgent => ToAgent::from_frame(&frame).map(drop),
            Kind::FromAgent => FromAgent::from_frame(&frame).map(drop),
            Kind::FromApplication => ApplicationSays::from_frame(&frame).map(drop),
            Kind::ToApplication => ApplicationHears::from_frame(&frame).map(drop),
            Kind::Peer => PeerSaid::from_frame(&frame).map(drop),
            Kind::Link => unreachable!("no case is about the link itself"),
        };
        assert_eq!(&refused.unwrap_err().to_string(), says, "{body:02x?}");
    }
}

#[test]
fn a_field_of_a_newer_version_is_passed_over() {
    let heard =
        ApplicationHears::from_frame(&framed(Kind::ToApplication, b"\x1a\x07\x08\x02\x10\x07\xf2\x01\x00"));
    assert_eq!(heard.unwrap(), a_message());
}

#[test]
fn an_event_of_a_newer_version_keeps_its_text() {
    let json = r#"{"kind":"teleported"}"#;
    let mut body = vec![0x2a, json.len() as u8 + 2, 0x0a, json.len() as u8];
    body.extend_from_slice(json.as_bytes());
    let heard = FromAgent::from_frame(&framed(Kind::FromAgent, &body)).unwrap();
    let FromAgent::Events(events) = heard else { panic!("{heard:?} are no events") };
    assert_eq!(events[0].kind, understudy_model::EventKind::Anomaly);
    assert_eq!(events[0].because.facts[0].is, json);
}

#[test]
fn lists_are_bounded_on_both_sides() {
    let report = ApplicationReport {
        application: "a".parse().unwrap(),
        pid: None,
        status: ApplicationStatus::Stopped,
        goal: Goal::Stopped,
        run_mode: RunMode::Unknown,
        problem: String::new(),
        restarts: 0,
        gave_up: false,
        last_exit: None,
        role: None,
    };
    let welcome = |count| FromAgent::Welcome {
        version: 1,
        inventory: Inventory {
            host: "alpha".parse().unwrap(),
            agent: AgentId(1),
            incarnation: Incarnation(2),
            controller_epoch: ControllerEpoch(3),
            applications: vec![report.clone(); count],
        },
    };
    let mut out = BytesMut::new();
    welcome(4096).to_frame(&mut out).unwrap();
    out.clear();
    let refused = welcome(4097).to_frame(&mut out).unwrap_err();
    assert!(matches!(refused, EncodeError::TooMany { count: 4097, limit: 4096, .. }), "{refused}");
    assert!(out.is_empty());

    let mut body = vec![0x2a, 0x82, 0x04];
    body.extend([0x0a, 0x00].repeat(257));
    let refused = FromAgent::from_frame(&framed(Kind::FromAgent, &body)).unwrap_err();
    assert_eq!(refused.to_string(), "Events.json has 257 entries, at most 256 are allowed");
}

#[test]
fn a_long_text_for_people_is_cut_between_characters() {
    let says =
        |why: &str| ApplicationSays::from(FromApplication::Readiness(Readiness::Unavailable(why.to_owned())));
    let long = "é".repeat(3000) + "x";
    let frame = frame::decode(&mut frame_of(&says(&long))).unwrap().unwrap();
    assert_eq!(ApplicationSays::from_frame(&frame).unwrap(), says(&"é".repeat(2048)));

    let mut body = vec![0x12, 0x84, 0x20, 0x1a, 0x81, 0x20];
    body.extend([b'x'; 4097]);
    let refused = ApplicationSays::from_frame(&framed(Kind::FromApplication, &body)).unwrap_err();
    assert_eq!(refused.to_string(), "Readiness.unavailable has 4097 bytes, at most 4096 are allowed");
}

/// Length and content, and the number before it, as a protocol buffer has them.
fn part(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encode_length_delimiter(content.len(), &mut bytes).unwrap();
    bytes.extend_from_slice(content);
    bytes
}

#[test]
fn a_list_of_large_parts_is_counted_before_any_part_is_read() {
    // The last part is none: whoever reads parts before it counts them says so.
    let list = |number: u8, count: usize| {
        let empty = part(number, b"").repeat(count);
        [empty, part(number, b"\x0a\x05x")].concat()
    };
    let assign = |count| part(2, &part(4, &list(1, count)));
    let welcome = |count| part(1, &part(2, &list(5, count)));
    let refused = |body: &[u8]| ToAgent::from_frame(&framed(Kind::ToAgent, body)).unwrap_err().to_string();
    assert_eq!(refused(&assign(4_096)), "Assign.assignments has 4097 entries, at most 4096 are allowed");
    assert_eq!(refused(&assign(4_095)), "the body is not a ToAgent");
    // In several pieces, which a decoder joins.
    let pieces = [assign(2_000), assign(2_095)].concat();
    assert_eq!(refused(&pieces), "Assign.assignments has 4097 entries, at most 4096 are allowed");
    let refused = FromAgent::from_frame(&framed(Kind::FromAgent, &welcome(500_000))).unwrap_err();
    assert_eq!(refused.to_string(), "Inventory.applications has 500001 entries, at most 4096 are allowed");
}

fn read_as_everything(frame: &Frame) {
    let _ = ToAgent::from_frame(frame);
    let _ = FromAgent::from_frame(frame);
    let _ = ApplicationSays::from_frame(frame);
    let _ = ApplicationHears::from_frame(frame);
    let _ = PeerSaid::from_frame(frame);
}

proptest! {
    #[test]
    fn garbage_is_no_panic(garbage in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = BytesMut::from(&garbage[..]);
        while let Ok(Some(frame)) = frame::decode(&mut bytes) {
            read_as_everything(&frame);
        }
    }

    #[test]
    fn a_garbage_body_is_no_panic(kind in 1u8..=6, body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let kind = Kind::from_number(kind).expect("1 to 6 are kinds");
        read_as_everything(&framed(kind, &body));
    }

    /// The same for what an agent says to another.
    #[test]
    fn a_nearly_good_word_of_a_peer_is_no_panic(
        message in values::peer_said(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut body = frame_of(&message)[HEADER_BYTES..].to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        read_as_everything(&framed(Kind::Peer, &body));
    }

    /// Closer to the truth than garbage: a good body with one byte changed, under a checksum that fits it.
    #[test]
    fn a_nearly_good_body_is_no_panic(
        message in values::to_agent(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut body = frame_of(&message)[HEADER_BYTES..].to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        read_as_everything(&framed(Kind::ToAgent, &body));
    }
}
