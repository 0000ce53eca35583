//! Failovers by force: what an operator was shown to be given up, and what would be given up when the order comes.

#[path = "strict/desk.rs"]
mod desk;

use desk::*;
use understudy_decide::control::{Ask, *};
use understudy_model::*;

fn looked() -> Ask {
    Ask::Failover { name: "p".into(), dry_run: true, given_up: None, reason: None }
}

fn meant(name: &str, given_up: &GivenUp) -> Ask {
    Ask::Failover { name: name.into(), dry_run: false, given_up: Some(given_up.clone()), reason: None }
}

fn refused_naming(reply: &Reply, names: &[&str]) {
    let Reply::Refused { code, message, try_next, .. } = reply else { panic!("{reply:?}") };
    assert!(code == "not-possible" && names.iter().all(|name| message.contains(name)), "{message}");
    assert_eq!(try_next.as_deref(), Some("scsctl failover p --dry-run"));
}

#[test]
fn an_operators_word_gives_up_what_was_shown_and_nothing_else() {
    let mut desk = Desk::settled();
    desk.link_down("alpha", LinkEnd::Silent);
    let Reply::Plan { given_up: Some(shown), .. } = desk.asks(looked()) else { panic!("no plan") };
    assert_eq!(shown, GivenUp { epoch: Epoch(1), member: app("a"), loses_data: false });
    // While the operator goes to switch alpha off, its promise ends and b is promoted. Then it is b that is not heard, and a is
    // back.
    desk.pass(ms(1_000));
    let (to, order, _) = desk.take_pre_vote().expect("b is asked");
    desk.answers(&to, &order, Outcome::Done);
    desk.pass(ms(1));
    let (to, order, ordered, _) = desk.take_promotion().expect("b is promoted");
    assert_eq!(ordered, role(2, "b"));
    desk.answers(&to, &order, Outcome::Done);
    desk.reports(acting(2, "b"));
    desk.reports.insert(app("a"), idle("a", 1));
    desk.link_down("beta", LinkEnd::Silent);
    desk.link_up("alpha");
    refused_naming(&desk.asks(meant("p", &shown)), &["(1, a)", "(2, b)"]);
    assert!(!desk.told(Rule::OperatorForced), "{}", desk.story());
    assert_eq!(desk.stored.roles[&pair()], role(2, "b"));
    // Whoever names a member means the silent one.
    refused_naming(&desk.asks(meant("a", &shown)), &["a is not the member", "that is b"]);
    let Reply::Plan { given_up: Some(now), .. } = desk.asks(looked()) else { panic!("no plan") };
    assert_eq!(now, GivenUp { epoch: Epoch(2), member: app("b"), loses_data: false });
    refused_naming(&desk.asks(meant("a", &now)), &["that is b"]);
    assert!(matches!(desk.asks(meant("b", &now)), Reply::Begun(_)), "{}", desk.story());
}

/// An operator's word was wrong: what is told says who claimed what, how long two may have acted, and that it was found.
#[test]
fn a_word_that_was_wrong_is_told_as_a_word_and_what_it_cost_is_said() {
    let mut desk = Desk::settled();
    desk.link_down("alpha", LinkEnd::Silent);
    let Reply::Plan { given_up: Some(shown), .. } = desk.asks(looked()) else { panic!("no plan") };
    assert!(matches!(desk.asks(meant("a", &shown)), Reply::Begun(_)), "{}", desk.story());
    desk.pass(ms(1));
    let over =
        desk.events.iter().find(|event| event.kind == EventKind::RoleChanged).expect("its role is over");
    assert_eq!((over.from.as_deref(), over.because.rule), (Some("a"), Rule::OperatorForced), "{over:#?}");
    let (to, order, ordered, _) = desk.take_promotion().unwrap_or_else(|| panic!("{}", desk.story()));
    assert_eq!(ordered, role(2, "b"));
    desk.answers(&to, &order, Outcome::Done);
    desk.reports(acting(2, "b"));
    assert!(desk.view().second_may_act, "its own votes may last");
    let warned = |desk: &Desk| desk.control.view(desk.now).warnings.join("\n");
    assert!(warned(&desk).contains("a was given up by force"), "{}", warned(&desk));
    desk.pass(ms(300));
    desk.reports.insert(app("a"), acting(1, "a"));
    desk.link_up("alpha");
    assert!(desk.told(Rule::TwoActing) && desk.view().two_acted == 1, "{}", desk.story());
    desk.reports(idle("a", 1));
    let told = desk.events.iter().any(|event| event.because.reason.contains("two may have acted for"));
    assert!(told && !desk.view().second_may_act, "{}", desk.story());
    assert!(!warned(&desk).contains("by force"), "{}", warned(&desk));
}
