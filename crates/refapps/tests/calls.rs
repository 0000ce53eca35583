//! The calls of the call server: one story for each rule, and long random sequences that must keep its laws.

use proptest::prelude::*;
use understudy_refapps::tserver::calls::{
    AgentState, Answer, CallType, Calls, Command, ConnectionId, Leg, MOST_USER_DATA, Refusal,
};

fn word(text: &str) -> String {
    text.to_owned()
}

fn server(dns: &[&str]) -> Calls {
    let mut calls = Calls::default();
    calls.begin_epoch(7);
    for dn in dns {
        calls.apply(Command::Register { dn: word(dn) }).unwrap();
    }
    calls
}

fn make(calls: &mut Calls, call_type: CallType, from: &str, to: &str) -> Result<ConnectionId, Refusal> {
    connection(calls.apply(Command::Make { call_type, from: word(from), to: word(to) }))
}

fn consult(calls: &mut Calls, conn: ConnectionId, from: &str, to: &str) -> Result<ConnectionId, Refusal> {
    connection(calls.apply(Command::Consult { conn, from: word(from), to: word(to) }))
}

fn connection(answer: Result<Answer, Refusal>) -> Result<ConnectionId, Refusal> {
    answer.map(|answer| match answer {
        Answer::Call(conn) => conn,
        Answer::Done => panic!("no connection id in the answer"),
    })
}

fn pick_up(calls: &mut Calls, conn: ConnectionId, dn: &str) {
    calls.apply(Command::Answer { conn, dn: word(dn) }).unwrap();
}

fn leg(calls: &Calls, conn: ConnectionId, dn: &str) -> Option<Leg> {
    calls.call(conn).and_then(|call| call.parties.get(dn).copied())
}

#[test]
fn a_call_is_made_answered_and_released() {
    let mut calls = server(&["7001"]);
    let conn = make(&mut calls, CallType::Inbound, "5551234", "7001").unwrap();
    assert_eq!(conn.0 >> 32, 7, "the epoch is part of the id");
    assert_eq!(calls.is_off_hook("7001"), Some(false));
    pick_up(&mut calls, conn, "7001");
    assert_eq!(calls.is_off_hook("7001"), Some(true));
    assert_eq!(leg(&calls, conn, "5551234"), Some(Leg::Talking));
    let release = Command::Release { conn, dn: word("5551234") };
    assert_eq!(calls.apply(release.clone()), Ok(Answer::Call(conn)));
    assert_eq!((calls.call(conn), calls.is_off_hook("7001")), (None, Some(false)));
    assert_eq!(calls.apply(release), Err(Refusal::UnknownCall(conn)));
}

#[test]
fn what_cannot_be_is_refused() {
    let mut calls = server(&["1", "2", "3", "4"]);
    make(&mut calls, CallType::Outbound, "4", "555").unwrap();
    let unknown = ConnectionId(0xdead);
    let conn = make(&mut calls, CallType::Internal, "1", "2").unwrap();
    let before = calls.clone();
    assert_eq!(make(&mut calls, CallType::Internal, "1", "3"), Err(Refusal::Busy(word("1"))));
    assert_eq!(make(&mut calls, CallType::Internal, "3", "3"), Err(Refusal::SameParty(word("3"))));
    assert_eq!(make(&mut calls, CallType::Internal, "3", "9"), Err(Refusal::UnknownDn(word("9"))));
    assert_eq!(make(&mut calls, CallType::Inbound, "2", "3"), Err(Refusal::WrongParty(word("2"))));
    assert_eq!(consult(&mut calls, conn, "1", "3"), Err(Refusal::WrongParty(word("1"))), "nobody talks yet");
    assert_eq!(consult(&mut calls, unknown, "1", "3"), Err(Refusal::UnknownCall(unknown)));
    let refused = [
        (Command::Answer { conn, dn: word("1") }, Refusal::WrongParty(word("1"))),
        (Command::Release { conn, dn: word("3") }, Refusal::WrongParty(word("3"))),
        (Command::Transfer { consult: conn }, Refusal::NotAConsultation(conn)),
        (Command::Unregister { dn: word("1") }, Refusal::Busy(word("1"))),
        (Command::Register { dn: word("555") }, Refusal::Busy(word("555"))),
        (Command::Login { agent: word("ann"), dn: word("9") }, Refusal::UnknownDn(word("9"))),
        (Command::Logout { agent: word("ann") }, Refusal::UnknownAgent(word("ann"))),
        (Command::Attach { conn: unknown, key: word("k"), value: word("v") }, Refusal::UnknownCall(unknown)),
    ];
    for (command, refusal) in refused {
        assert_eq!(calls.apply(command.clone()), Err(refusal), "{command:?}");
    }
    assert_eq!(calls, before, "a refusal leaves no trace");
}

#[test]
fn a_consultation_ends_in_a_transfer() {
    let mut calls = server(&["1", "2"]);
    let main = make(&mut calls, CallType::Inbound, "555", "1").unwrap();
    pick_up(&mut calls, main, "1");
    let attach = |key: &str, value: &str, conn| Command::Attach { conn, key: word(key), value: word(value) };
    calls.apply(attach("customer", "ann", main)).unwrap();
    let aside = consult(&mut calls, main, "1", "2").unwrap();
    assert_eq!(leg(&calls, main, "1"), Some(Leg::Held));
    assert_eq!(calls.call(aside).unwrap().user_data["customer"], "ann");
    calls.apply(attach("note", "angry", aside)).unwrap();
    calls.apply(attach("customer", "Ann", main)).unwrap();
    pick_up(&mut calls, aside, "2");
    assert_eq!(calls.apply(Command::Transfer { consult: aside }), Ok(Answer::Call(main)));
    let call = calls.call(main).unwrap();
    assert_eq!(call.parties.keys().collect::<Vec<_>>(), ["2", "555"]);
    assert_eq!((call.user_data["customer"].as_str(), call.user_data["note"].as_str()), ("Ann", "angry"));
    assert_eq!((calls.call(aside), calls.is_off_hook("1")), (None, Some(false)));
}

#[test]
fn a_consultation_that_ends_gives_the_call_back() {
    let mut calls = server(&["1", "2"]);
    let main = make(&mut calls, CallType::Inbound, "555", "1").unwrap();
    pick_up(&mut calls, main, "1");
    let aside = consult(&mut calls, main, "1", "2").unwrap();
    calls.apply(Command::Release { conn: aside, dn: word("2") }).unwrap();
    assert_eq!(leg(&calls, main, "1"), Some(Leg::Talking));
    // The caller leaves while it is discussed: the consultation goes on by itself and can no longer be transferred.
    let aside = consult(&mut calls, main, "1", "2").unwrap();
    calls.apply(Command::Release { conn: main, dn: word("555") }).unwrap();
    assert!(calls.call(aside).is_some());
    assert_eq!(calls.apply(Command::Transfer { consult: aside }), Err(Refusal::NotAConsultation(aside)));
}

#[test]
fn user_data_is_bounded_and_replaced() {
    let mut calls = server(&["1"]);
    let conn = make(&mut calls, CallType::Outbound, "1", "555").unwrap();
    let attach = |key: usize, value: &str| Command::Attach { conn, key: key.to_string(), value: word(value) };
    for key in 0..MOST_USER_DATA {
        calls.apply(attach(key, "old")).unwrap();
    }
    assert_eq!(calls.apply(attach(MOST_USER_DATA, "x")), Err(Refusal::TooMany("user-data")));
    calls.apply(attach(0, "new")).unwrap();
    assert_eq!(calls.call(conn).unwrap().user_data["0"], "new");
}

#[test]
fn agents_log_in_get_ready_and_leave_with_their_dn() {
    let mut calls = server(&["1"]);
    let ready = Command::SetAgent { agent: word("ann"), state: AgentState::Ready };
    assert_eq!(calls.apply(ready.clone()), Err(Refusal::UnknownAgent(word("ann"))));
    calls.apply(Command::Login { agent: word("ann"), dn: word("1") }).unwrap();
    assert_eq!(calls.agent("ann").unwrap().state, AgentState::NotReady);
    calls.apply(ready).unwrap();
    assert_eq!(calls.agent("ann").unwrap().state, AgentState::Ready);
    calls.apply(Command::Unregister { dn: word("1") }).unwrap();
    assert_eq!(calls.agent("ann"), None);
}

#[test]
fn a_new_epoch_forgets_calls_and_keeps_registrations() {
    let mut calls = server(&["1"]);
    calls.apply(Command::Login { agent: word("ann"), dn: word("1") }).unwrap();
    calls.apply(Command::Write { number: 5 }).unwrap();
    let old = make(&mut calls, CallType::Outbound, "1", "555").unwrap();
    assert_eq!(calls.written().count(0, 10), 1);
    calls.begin_epoch(8);
    assert_eq!((calls.call(old), calls.written().count(0, 10)), (None, 0));
    assert!(calls.agent("ann").is_some());
    assert!(make(&mut calls, CallType::Outbound, "1", "555").unwrap() > old);
}

/// Commands over few names, with connection ids that are likely to exist.
fn commands() -> impl Strategy<Value = Command> {
    let dn = || (0u8..5).prop_map(|number| number.to_string());
    let conn = || (1u64..25).prop_map(|number| ConnectionId((1 << 32) + number));
    let call_type = prop_oneof![Just(CallType::Inbound), Just(CallType::Outbound), Just(CallType::Internal)];
    prop_oneof![
        1 => dn().prop_map(|dn| Command::Register { dn }),
        1 => dn().prop_map(|dn| Command::Unregister { dn }),
        1 => dn().prop_map(|dn| Command::Login { agent: word("ann"), dn }),
        5 => (call_type, dn(), dn()).prop_map(|(call_type, from, to)| Command::Make { call_type, from, to }),
        6 => (conn(), dn(), dn()).prop_map(|(conn, from, to)| Command::Consult { conn, from, to }),
        9 => (conn(), dn()).prop_map(|(conn, dn)| Command::Answer { conn, dn }),
        3 => (conn(), dn()).prop_map(|(conn, dn)| Command::Release { conn, dn }),
        4 => conn().prop_map(|consult| Command::Transfer { consult }),
    ]
}

fn assert_laws(calls: &Calls) -> Result<(), TestCaseError> {
    let ids: Vec<_> = (1..=120).map(|number| ConnectionId((1 << 32) + number)).collect();
    for conn in ids.iter().copied() {
        let Some(call) = calls.call(conn) else { continue };
        prop_assert!(call.parties.len() >= 2, "{conn}: {call:?}");
        for (dn, leg) in &call.parties {
            if let Some(of) = calls.calls_of(dn) {
                prop_assert!(of.contains(&conn), "{dn} does not know {conn}");
            }
            let asides = ids.iter().filter_map(|aside| calls.call(*aside)).filter(|aside| {
                aside.consults.as_ref().is_some_and(|(main, who)| *main == conn && who == dn)
            });
            prop_assert_eq!(asides.count(), usize::from(*leg == Leg::Held), "{} in {}: {:?}", dn, conn, call);
        }
    }
    for dn in (0..5).map(|number| number.to_string()) {
        for conn in calls.calls_of(&dn).into_iter().flatten() {
            let knows = calls.call(*conn).is_some_and(|call| call.parties.contains_key(&dn));
            prop_assert!(knows, "{dn} is no party of {conn}");
        }
        let talking = ids.iter().filter(|conn| leg(calls, **conn, &dn) == Some(Leg::Talking)).count();
        prop_assert!(calls.calls_of(&dn).is_none() || talking <= 1, "{dn} talks in {talking} calls");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn random_sequences_keep_the_laws(sequence in proptest::collection::vec(commands(), 1..120)) {
        let mut calls = Calls::default();
        calls.begin_epoch(1);
        for dn in 0..5 {
            calls.apply(Command::Register { dn: dn.to_string() }).unwrap();
        }
        for command in sequence {
            let before = calls.clone();
            if calls.apply(command.clone()).is_err() {
                prop_assert_eq!(&calls, &before, "a refused {:?} left a trace", command);
            }
            assert_laws(&calls)?;
        }
    }
}
