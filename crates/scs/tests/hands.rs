//! The hands alone: what happens when something cannot be made durable, and what the journal keeps.

use std::sync::Arc;

use tokio::sync::watch;
use understudy_decide::control::{Control, ControlDo, ControlRecord, ControlSaw, LinkEnd, Reply, RequestId};
use understudy_drive::{Hands, Inbox, Kept, Stop};
use understudy_model::{
    ApplicationName, ControllerEpoch, Decision, Epoch, Goal, HostName, Incarnation, Moment, OperationId,
    PairName, RoleEpoch, Verdict, VoteAnswer, VoteAsk,
};
use understudy_scs::hands::ControlHands;
use understudy_scs::journal::Journal;
use understudy_scs::links::Links;
use understudy_scs::record::{ObservedRow, Recorded, Step, decided_text};
use understudy_scs::replies::Replies;
use understudy_scs::standing::Standing;
use understudy_store::{EntryKind, JournalQuery, Reader, Store};

struct Bench {
    directory: tempfile::TempDir,
    hands: ControlHands,
    journal: Journal,
    standing: Standing,
    replies: Replies,
    stop: Stop,
}

fn bench(prepare: impl FnOnce(&mut Store)) -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    let controller_epoch = store.take_leadership(&"scs-1".parse().unwrap()).unwrap();
    prepare(&mut store);
    let reader = Reader::open(directory.path()).unwrap();
    let cluster = understudy_settings::parse_cluster("c", "[cluster]\nname = \"demo\"\n").unwrap().value;
    let standing = Standing::new(directory.path(), Arc::new(cluster));
    let journal = Journal::start(store, reader, standing.clone()).unwrap();
    let (inbox, _mail) = Inbox::<Control>::new(8);
    let (replies, stop) = (Replies::default(), Stop::default());
    let hands = ControlHands {
        links: Links::new(inbox.clone(), journal.clone(), understudy_transport::Security::Plain),
        journal: journal.clone(),
        replies: replies.clone(),
        standing: standing.clone(),
        steps: watch::channel(0).0,
        controller_epoch,
        boot: String::new(),
        stop: stop.clone(),
        lost: Default::default(),
        store_failing: false,
        figures: understudy_scs::figures::Figures::default(),
        fencing: understudy_scs::fencing::Fencing::new(inbox, standing.clone()),
        recorder: Default::default(),
        reloads: watch::channel(0).0,
        keeping: None,
    };
    Bench { directory, hands, journal, standing, replies, stop }
}

impl Bench {
    /// As the loop does.
    async fn keep(
        &mut self,
        at: Moment,
        saw: &ControlSaw,
        decision: &Decision<ControlRecord, ControlDo>,
    ) -> Kept {
        let kept = self.hands.persist(at, saw, decision).await;
        self.hands.persisted(&kept);
        kept
    }
}

fn raise(epoch: u64, expected: Option<RoleEpoch>) -> Decision<ControlRecord, ControlDo> {
    let next = RoleEpoch::new(Epoch(epoch), ApplicationName::new("tserver-1").unwrap());
    let pair = PairName::new("tserver").unwrap();
    Decision { persist: vec![ControlRecord::RaiseEpoch { pair, expected, next }], ..Decision::default() }
}

fn use_operation(id: u64) -> Decision<ControlRecord, ControlDo> {
    Decision { persist: vec![ControlRecord::UseOperation(OperationId(id))], ..Decision::default() }
}

/// More than a full file has room for.
fn set_goals(round: u32) -> Decision<ControlRecord, ControlDo> {
    let set = |number: u32| ControlRecord::SetGoal {
        application: ApplicationName::new(&format!("application-{round}-{number}")).unwrap(),
        goal: Goal::Started,
    };
    Decision { persist: (0..2_000).map(set).collect(), ..Decision::default() }
}

/// An observation whose journal entry is about so many bytes long.
fn saw(bytes: usize) -> ControlSaw {
    ControlSaw::LinkDown {
        host: HostName::new("alpha").unwrap(),
        end: LinkEnd::Closed,
        why: "x".repeat(bytes),
    }
}

#[tokio::test]
async fn a_full_store_is_certain_and_shown_until_it_has_room_again() {
    let mut bench = bench(|store| store.limit_size(1).unwrap());
    // The file may have room inside; what waits for none, as a reason does, fills it.
    let mut refused = None;
    for round in 0..400 {
        refused = bench.keep(Moment(1), &saw(10), &set_goals(round)).await.err();
        if refused.is_some() {
            break;
        }
    }
    let (why, definite) = refused.expect("the store was never full");
    assert!(definite, "{why}");
    assert!(why.contains("full"), "{why}");
    let warnings = bench.standing.beside().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("nobody can be promoted")), "{warnings:?}");
    assert!(!bench.stop.is_asked(), "a full disk is no reason to end");
    bench.keep(Moment(2), &saw(10), &use_operation(2)).await.unwrap();
    // What was decided and not stored still waits for room in the journal, and that is shown.
    let warnings = bench.standing.beside().warnings;
    assert!(warnings.iter().all(|warning| warning.contains("the journal cannot be written")), "{warnings:?}");
}

#[tokio::test]
async fn a_role_that_is_not_as_expected_is_certain() {
    let mut bench = bench(|_| {});
    bench.keep(Moment(1), &saw(10), &raise(1, None)).await.unwrap();
    let (why, definite) = bench.keep(Moment(2), &saw(10), &raise(2, None)).await.unwrap_err();
    assert!(definite && why.contains("not the expected one"), "{why}");
    assert!(!bench.stop.is_asked());
}

#[tokio::test]
async fn a_lost_leadership_ends_the_program() {
    let mut bench = bench(|_| {});
    bench.hands.controller_epoch = ControllerEpoch(0);
    let (_, definite) = bench.keep(Moment(1), &saw(10), &raise(1, None)).await.unwrap_err();
    assert!(!definite && bench.stop.is_asked(), "whoever leads now may store it");
    assert!(bench.hands.lost.get().is_some());
}

#[tokio::test]
async fn an_entry_that_is_too_long_does_not_keep_an_epoch_from_being_stored() {
    let mut bench = bench(|_| {});
    bench.keep(Moment(1), &saw(2 * 1024 * 1024), &raise(1, None)).await.unwrap();
    let reader = Reader::open(bench.directory.path()).unwrap();
    assert_eq!(reader.roles().unwrap().len(), 1);
    let entries = reader.journal(&JournalQuery { after_id: 0, since_wall_ms: 0, limit: 10 }).unwrap();
    assert!(entries[0].text.contains("\"piece\":0,"), "it is cut: {:.200}", entries[0].text);
}

#[tokio::test]
async fn the_journal_can_be_read_back_as_what_was_seen_and_decided() {
    let mut bench = bench(|_| {});
    let (observed, decided) = (saw(3), raise(1, None));
    bench.hands.record(Moment(5), &ControlSaw::DeadlinePassed, &Decision::default());
    bench.keep(Moment(7), &observed, &decided).await.unwrap();
    let reader = Reader::open(bench.directory.path()).unwrap();
    let entries = reader.journal(&JournalQuery { after_id: 0, since_wall_ms: 0, limit: 10 }).unwrap();
    let kinds: Vec<EntryKind> = entries.iter().map(|entry| entry.kind).collect();
    let idle = EntryKind::Observation;
    assert_eq!(kinds, [idle, EntryKind::Observation, EntryKind::Decision]);
    let row = |index: usize| serde_json::from_str::<ObservedRow>(&entries[index].text).unwrap();
    let ObservedRow { n: 0, is: Recorded::Quiet(quiet) } = row(0) else { panic!("{}", entries[0].text) };
    let idle = Step { at: Moment(5), aside: false, saw: ControlSaw::DeadlinePassed };
    assert_eq!(quiet.unpack(entries[0].at_boot).unwrap(), [idle]);
    assert_eq!(row(1), ObservedRow { n: 1, is: Recorded::Saw(observed) });
    assert_eq!(Some(&entries[2].text), decided_text(1, &decided).as_ref());
    assert_eq!(entries[2].at_boot, Moment(7));
}

#[tokio::test]
async fn a_decision_that_could_not_be_stored_is_in_the_journal_all_the_same_and_what_came_meanwhile_too() {
    let mut bench = bench(|_| {});
    let expected = RoleEpoch::new(Epoch(7), ApplicationName::new("tserver-1").unwrap());
    let decided = raise(8, Some(expected));
    let persisting = bench.hands.persist(Moment(7), &saw(3), &decided);
    bench.hands.record(Moment(8), &saw(4), &Decision::default());
    let kept = persisting.await;
    assert!(kept.is_err(), "the store holds no such role");
    bench.hands.persisted(&kept);
    bench.hands.record(Moment(9), &saw(5), &Decision::default());
    let Bench { directory, hands, journal, .. } = bench;
    drop(hands);
    journal.close().unwrap();
    let reader = Reader::open(directory.path()).unwrap();
    let entries = reader.journal(&JournalQuery { after_id: 0, since_wall_ms: 0, limit: 10 }).unwrap();
    let mut texts: Vec<String> = entries.into_iter().map(|entry| entry.text).collect();
    texts.sort();
    let row = |n, is| serde_json::to_string(&ObservedRow { n, is }).unwrap();
    let mut wanted = vec![
        row(0, Recorded::Saw(saw(3))),
        decided_text(0, &decided).unwrap(),
        row(1, Recorded::Aside(saw(4))),
        row(2, Recorded::Saw(saw(5))),
    ];
    wanted.sort();
    assert_eq!(texts, wanted);
}

#[tokio::test]
async fn a_reply_reaches_its_asker() {
    let mut bench = bench(|_| {});
    let (request, answer) = bench.replies.open().unwrap();
    let reply = Reply::Done { text: "it is so".to_owned() };
    bench.hands.act(ControlDo::Reply { request: RequestId(999), reply: reply.clone() });
    bench.hands.act(ControlDo::Reply { request, reply: reply.clone() });
    assert_eq!(answer.await.unwrap(), reply);
    drop(bench.journal);
}

#[tokio::test]
async fn a_raised_leadership_ends_this_one_and_the_next_is_above_it() {
    let mut bench = bench(|_| ());
    let highest = ControllerEpoch(70);
    let decision =
        Decision { persist: vec![ControlRecord::RaiseLeadership { highest }], ..Decision::default() };
    bench.keep(Moment(1), &saw(1), &decision).await.unwrap();
    assert!(bench.hands.lost.get().is_some_and(|why| why.contains("higher controller epoch")));
    assert!(bench.stop.is_asked());
    let Bench { directory, hands, journal, .. } = bench;
    drop(hands);
    journal.close().unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    assert!(store.take_leadership(&"scs-1".parse().unwrap()).unwrap() > ControllerEpoch(70));
}

#[tokio::test]
async fn a_vote_that_is_given_again_is_packed_and_a_refused_one_is_a_row() {
    let mut bench = bench(|_| ());
    let role = RoleEpoch::new(Epoch(1), ApplicationName::new("tserver-1").unwrap());
    let ask = |number| VoteAsk {
        pair: PairName::new("tserver").unwrap(),
        incarnation: Incarnation(1),
        number,
        role: role.clone(),
        lease: std::time::Duration::from_secs(1),
    };
    let vote = |number, verdict| {
        let VoteAsk { pair, incarnation, number, role, .. } = ask(number);
        let answer = VoteAnswer { pair, incarnation, number, role, verdict, clock: None };
        let host = HostName::new("alpha").unwrap();
        Decision { actions: vec![ControlDo::Vote { host, answer }], ..Decision::default() }
    };
    let asked = |number| ControlSaw::VoteAsked { host: HostName::new("alpha").unwrap(), ask: ask(number) };
    bench.hands.record(Moment(1), &asked(1), &vote(1, Verdict::Given));
    let refused = Verdict::Refused { promised: None, why: "because".to_owned() };
    bench.hands.record(Moment(2), &asked(2), &vote(2, refused));
    let Bench { directory, hands, journal, .. } = bench;
    drop(hands);
    journal.close().unwrap();
    let entries = Reader::open(directory.path())
        .unwrap()
        .journal(&JournalQuery { after_id: 0, since_wall_ms: 0, limit: 10 })
        .unwrap();
    let texts: Vec<&str> = entries.iter().map(|entry| entry.text.as_str()).collect();
    assert!(texts.iter().any(|text| text.contains("because")), "{texts:?}");
    assert!(!texts.iter().any(|text| text.contains("\"number\":1,")), "{texts:?}");
    assert!(texts[0].contains("quiet"), "it is packed: {texts:?}");
}

#[tokio::test]
async fn a_fencing_command_is_run_with_the_host_in_its_environment_and_its_end_is_observed() {
    let directory = tempfile::tempdir().unwrap();
    let text = |command: &str| {
        format!(
            "[cluster]\nname = \"demo\"\n[[host]]\nname = \"alpha\"\naddresses = [\"127.0.0.1\"]\n\
             fence = [\"/bin/sh\", \"-c\", \"{command}\"]\nfence-timeout = 1\n"
        )
    };
    let cases = [
        ("echo $UNDERSTUDY_HOST is off", true, "alpha is off"),
        ("echo cannot reach it; exit 3", false, "cannot reach it"),
        ("sleep 600", false, "longer than 1s"),
    ];
    for (command, confirmed, said) in cases {
        let cluster = understudy_settings::parse_cluster("c", &text(command)).unwrap().value;
        let standing = Standing::new(directory.path(), Arc::new(cluster));
        let (inbox, mut mail) = Inbox::<Control>::new(8);
        understudy_scs::fencing::Fencing::new(inbox, standing).call(HostName::new("alpha").unwrap());
        let limit = std::time::Duration::from_secs(20);
        let seen = tokio::time::timeout(limit, mail.recv()).await.unwrap().unwrap();
        let understudy_drive::Mail::Saw(_, seen) = seen else { panic!("nobody looks") };
        let ControlSaw::FenceEnded { confirmed: found, said: heard, .. } = seen else { panic!("{seen:?}") };
        assert_eq!(found, confirmed, "{heard}");
        assert!(heard.contains(said), "{heard}");
    }
}
