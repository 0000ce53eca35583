//! What a member says of who has everything that it acknowledged, as its agent carries it (G14).
//!
//! The law: only the word of who acts is carried, and nobody is told "recorded" whom the control server has not told so.

mod member;

use member::*;
use understudy_decide::agent::*;
use understudy_model::*;

/// The member says that the other one is out.
fn says(one: &mut Bench, number: u64, epoch: u64) {
    let start = one.start_of(&app("one"));
    let said = FromApplication::InSync { number, epoch: Epoch(epoch), wish: InSyncWish::LeaveOut };
    one.sees(AgentSaw::Said { application: app("one"), start, said });
}

/// What was carried to the control server, the newest last.
fn carried(one: &Bench) -> Vec<(LinkId, InSyncAsk)> {
    let ask = |did: &Did| match did {
        Did::Done(AgentDo::SayInSync { link, ask }) => Some((*link, ask.clone())),
        _ => None,
    };
    one.log.iter().filter_map(ask).collect()
}

fn answers(one: &mut Bench, link: u64, ask: &InSyncAsk, refused: Option<&str>) {
    let InSyncAsk { pair, incarnation, number, .. } = ask.clone();
    let answer = InSyncAnswer { pair, incarnation, number, refused: refused.map(str::to_owned) };
    one.sees(AgentSaw::InSyncAnswered { link: LinkId(link), answer });
}

/// What the member was told of that word: `Some(None)` is "recorded".
fn told(one: &Bench, wanted: u64) -> Option<Option<String>> {
    one.log.iter().find_map(|did| match did {
        Did::Done(AgentDo::Say { message: ToApplication::InSyncDone { number, refused }, .. }) => {
            (*number == wanted).then(|| refused.clone())
        }
        _ => None,
    })
}

#[test]
fn a_primary_s_word_is_carried_with_its_role_and_answered_once() {
    let mut one = Bench::primary(2);
    says(&mut one, 40, 2);
    says(&mut one, 41, 2);
    let carried = carried(&one);
    let [(link, first), (_, second)] = &carried[..] else { panic!("{carried:?}") };
    assert_eq!((*link, &first.role, first.incarnation), (LinkId(1), &role(2, "one"), Incarnation(7)));
    assert_eq!((first.wish, first.number < second.number), (InSyncWish::LeaveOut, true));
    assert_eq!((told(&one, 40), told(&one, 41)), (None, None), "nobody has answered");
    answers(&mut one, 1, second, Some("no"));
    assert_eq!((told(&one, 40), told(&one, 41)), (None, Some(Some("no".to_owned()))));
    answers(&mut one, 1, first, None);
    assert_eq!(told(&one, 40), Some(None));
    one.log.clear();
    answers(&mut one, 1, first, None);
    assert_eq!(told(&one, 40), None, "a second answer is for nobody");
}

#[test]
fn nobody_speaks_who_does_not_act_in_that_epoch() {
    let mut backup = Bench::new(kept(1, "two", 0));
    says(&mut backup, 1, 1);
    let mut other_epoch = Bench::primary(2);
    says(&mut other_epoch, 1, 1);
    let mut stepping_down = Bench::primary(2);
    stepping_down.order(Work::Demote { pair: pair(), role: role(2, "one"), time_limit: ms(1_000) });
    says(&mut stepping_down, 1, 2);
    let mut expired = Bench::primary(2);
    expired.now = expired.now + ms(3_100);
    says(&mut expired, 1, 2);
    for one in [backup, other_epoch, stepping_down, expired] {
        assert!(carried(&one).is_empty());
        assert!(told(&one, 1).flatten().is_some_and(|why| why.contains("does not act")), "{:#?}", one.log);
    }
}

#[test]
fn without_a_control_server_nothing_is_recorded_and_a_lost_one_leaves_it_open() {
    let mut one = Bench::primary(2);
    says(&mut one, 1, 2);
    one.leave(1);
    assert!(told(&one, 1).flatten().is_some_and(|why| why.contains("nobody can know")), "{:#?}", one.log);
    says(&mut one, 2, 2);
    assert!(told(&one, 2).flatten().is_some_and(|why| why.contains("no control server is heard")));
    // What comes from the lost one all the same is for nobody.
    let lost = carried(&one)[0].1.clone();
    one.log.clear();
    answers(&mut one, 1, &lost, None);
    assert_eq!(told(&one, 1), None);
}

#[test]
fn an_answer_on_another_link_or_for_another_life_is_for_nobody() {
    let mut one = Bench::primary(2);
    says(&mut one, 1, 2);
    let ask = carried(&one)[0].1.clone();
    answers(&mut one, 2, &ask, None);
    answers(&mut one, 1, &InSyncAsk { incarnation: Incarnation(8), ..ask.clone() }, None);
    assert_eq!(told(&one, 1), None);
    answers(&mut one, 1, &ask, None);
    assert_eq!(told(&one, 1), Some(None));
}

#[test]
fn a_word_that_an_older_link_brings_late_is_not_carried() {
    let mut one = Bench::primary(2);
    says(&mut one, 5, 2);
    one.log.clear();
    for late in [4, 5] {
        says(&mut one, late, 2);
        assert!(told(&one, late).flatten().is_some_and(|why| why.contains("later word")), "{:#?}", one.log);
    }
    assert!(carried(&one).is_empty());
    says(&mut one, 6, 2);
    assert_eq!(carried(&one).len(), 1);
}

#[test]
fn a_process_that_ended_hears_no_answer_and_too_many_words_are_refused() {
    let mut one = Bench::primary(2);
    (1..=70).for_each(|number| says(&mut one, number, 2));
    assert_eq!((told(&one, 64), told(&one, 65).flatten().is_some()), (None, true));
    let ask = carried(&one)[0].1.clone();
    one.exit();
    one.pass(5_000);
    one.log.clear();
    answers(&mut one, 1, &ask, None);
    assert_eq!(told(&one, 1), None);
}

#[test]
fn a_word_that_shared_a_decision_with_what_was_not_stored_is_not_waited_for() {
    let mut one = Bench::primary(2);
    says(&mut one, 1, 2);
    one.broken_disk = true;
    // A higher controller epoch has to be stored.
    let controller = ControllerName::new("scs-1").unwrap();
    let joined = AgentSaw::ControllerJoined {
        link: LinkId(2),
        controller,
        controller_epoch: ControllerEpoch(2),
        lineage: Vec::new(),
    };
    one.sees(joined);
    assert!(told(&one, 1).flatten().is_some_and(|why| why.contains("nobody can know")), "{:#?}", one.log);
}
