//! Which control servers an agent obeys: none below the one that it obeyed, and none whose store gave that number to another
//! leadership, however often it was started since.

mod member;

use member::{Bench, Did, kept};
use understudy_decide::agent::{AgentDo, AgentRecord, AgentSaw, LinkId};
use understudy_model::{ControllerEpoch, ControllerName, Incarnation, LeadershipId};

/// Leaderships `from` to `to` of the store with this number.
fn lineage(store: u128, from: u64, to: u64) -> Vec<LeadershipId> {
    let of = |epoch| LeadershipId {
        epoch: ControllerEpoch(epoch),
        incarnation: Incarnation(store * 1_000 + u128::from(epoch)),
    };
    (from..=to).map(of).collect()
}

/// Whether one that leads with this number and lineage is obeyed.
fn obeys(one: &mut Bench, link: u64, epoch: u64, lineage: Vec<LeadershipId>) -> bool {
    let controller = ControllerName::new("scs-1").unwrap();
    let link = LinkId(link);
    one.sees(AgentSaw::ControllerJoined {
        link,
        controller,
        controller_epoch: ControllerEpoch(epoch),
        lineage,
    });
    let turned_away = one
        .has(|did: &Did| matches!(did, Did::Done(AgentDo::TurnAway { link: turned, .. }) if *turned == link));
    let welcomed = one.has(
        |did: &Did| matches!(did, Did::Done(AgentDo::Welcome { link: welcomed, .. }) if *welcomed == link),
    );
    assert_ne!(turned_away, welcomed, "{:#?}", one.log);
    welcomed
}

fn agent() -> Bench {
    let mut one = Bench::new(kept(1, "two", 0));
    assert!(obeys(&mut one, 10, 7, lineage(1, 1, 7)));
    one
}

#[test]
fn the_next_leadership_of_the_same_store_is_obeyed_and_so_is_the_same_one_again() {
    let mut one = agent();
    assert!(obeys(&mut one, 11, 7, lineage(1, 1, 7)));
    assert!(obeys(&mut one, 12, 8, lineage(1, 1, 8)));
    assert!(!obeys(&mut one, 13, 7, lineage(1, 1, 7)), "S2");
}

#[test]
fn a_store_that_counted_to_the_same_number_again_is_not_obeyed() {
    assert!(!obeys(&mut agent(), 11, 7, lineage(2, 1, 7)));
    // A copy of the store that was in use, of before this leadership.
    let mut copy = lineage(1, 1, 6);
    copy.extend(lineage(2, 7, 7));
    assert!(!obeys(&mut agent(), 11, 7, copy));
}

#[test]
fn however_often_it_is_started() {
    let mut one = agent();
    for epoch in 8..40 {
        assert!(!obeys(&mut one, 100 + epoch, epoch, lineage(2, 1, epoch)), "{epoch}");
    }
    assert!(obeys(&mut one, 200, 8, lineage(1, 1, 8)), "and the one that was in use still is");
}

#[test]
fn a_restored_store_jumps_over_what_it_does_not_know_and_is_obeyed() {
    let mut restored = lineage(1, 1, 4);
    restored.extend(lineage(2, 1_000, 1_001));
    assert!(obeys(&mut agent(), 11, 1_001, restored));
}

#[test]
fn versions_that_know_of_no_lineage_are_judged_by_their_number_alone() {
    let mut one = agent();
    assert!(obeys(&mut one, 11, 7, Vec::new()));
    assert!(obeys(&mut one, 12, 8, Vec::new()));
    // It does not know which leadership had 8 until one says so.
    assert!(obeys(&mut one, 13, 8, lineage(2, 1, 8)));
    assert!(!obeys(&mut one, 14, 9, lineage(3, 1, 9)));
}

#[test]
fn what_is_obeyed_is_durable_before_it_is_welcome() {
    let one = agent();
    let incarnation = lineage(1, 7, 7)[0].incarnation;
    let epoch = ControllerEpoch(7);
    let record = AgentRecord::ControllerEpoch { epoch, incarnation: Some(incarnation) };
    assert!(one.has(|did: &Did| *did == Did::Kept(record.clone())), "{:#?}", one.log);
    // One that could not be remembered was not obeyed.
    let mut one = Bench::new(kept(1, "two", 0));
    one.broken_disk = true;
    assert!(!obeys(&mut one, 11, 7, lineage(2, 1, 7)));
    one.broken_disk = false;
    assert!(obeys(&mut one, 12, 7, lineage(1, 1, 7)));
}
