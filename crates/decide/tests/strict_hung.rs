//! A primary of a `strict` pair that shows no life: what its page says when it is killed, and what the next life of its agent
//! makes of it.

use std::collections::BTreeMap;

mod member;

use member::*;
use understudy_decide::agent::*;
use understudy_decide::grants::holder::Page;
use understudy_model::*;

fn hung() -> (Bench, Vec<Assignment>) {
    let mut assigned = assignment("one", "two", "beta", Interface::Library);
    assigned.spec.conduct.hang_limit = Some(ms(1_000));
    let table = vec![assigned];
    let mut one = Bench::voted_for(table.clone());
    one.done(RunMode::Primary, 2);
    let start = one.start_of(&app("one"));
    let said = FromApplication::Attach {
        application: app("one"),
        pid: 100,
        run_mode: RunMode::Primary,
        epoch: Epoch(2),
        readiness: Readiness::Ready,
        suspended: false,
        heartbeat: true,
    };
    one.sees(AgentSaw::Said { application: app("one"), start, said });
    for _ in 0..30 {
        one.pass(50);
        if let Some(ask) = one.asked() {
            one.peer_says(Bench::yes(&ask));
        }
    }
    (one, table)
}

fn shown(one: &Bench) -> Page {
    let page = |did: &Did| match did {
        Did::Done(AgentDo::ShowPage { page, .. }) => Some(page.clone()),
        _ => None,
    };
    one.log.iter().rev().find_map(page).expect("a page")
}

#[test]
fn the_page_of_a_primary_that_is_killed_for_its_silence_says_no_at_once() {
    let (one, _) = hung();
    assert!(one.at("the page", page_says_no) < one.at("the kill", kills), "{:#?}", one.log);
    assert_eq!(shown(&one).role, None);
    assert!(!one.has(closes), "its tree is not gone");
}

/// Killed, and still there when its agent begins anew: it was adopted as the primary that its page named, and asked for.
#[test]
fn the_next_life_of_an_agent_does_not_take_a_killed_primary_for_one_that_acts() {
    let (one, table) = hung();
    let found = Found {
        application: app("one"),
        start: one.start_of(&app("one")),
        pid: Some(100),
        running_for: ms(100_000),
        restarts: 0,
        acts: None,
        half: None,
        ready: false,
    };
    let pages = BTreeMap::from([(app("one"), shown(&one))]);
    let mut one = Bench::begin(kept(2, "one", 0), table, 8, vec![found], pages);
    one.join(1);
    one.sees(AgentSaw::PeerJoined { host: host("beta") });
    one.sees(AgentSaw::GuardChanged { up: true });
    one.pass(2_000);
    assert!(!one.has(asks) && !one.has(page_says_yes), "{:#?}", one.log);
    one.at("the kill", kills);
    one.exit();
    one.pass(0);
    assert!(one.at("the end of its epoch", closes) < one.at("the release", releases));
}
