//! States as numbers against states as they are: every step from every state comes to the same.

use std::collections::BTreeSet;

use understudy_models::Tally;
use understudy_models::collapse::Collapse;
use understudy_models::runs;
use understudy_models::steps::steps;
use understudy_models::world::{Scope, World};
use understudy_models::wrong::Wrong;

/// Visits up to `most` states both ways. Returns how many there are.
fn compare(scope: &Scope, most: usize) -> usize {
    let rates = scope.fixed.unwrap_or([scope.rates[0]; 5]);
    let mut collapse = Collapse::new(scope);
    let first = World::new(scope, rates);
    let mut seen = BTreeSet::from([first.fingerprint(scope)]);
    let mut waiting = std::collections::VecDeque::from([(collapse.state(&first), first)]);
    while let Some((state, world)) = waiting.pop_front().filter(|_| seen.len() < most) {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        steps(&collapse.look(&state), scope, &mut ours);
        world.look(scope, |look| steps(look, scope, &mut theirs));
        assert_eq!(ours, theirs, "{world:?}");
        for step in ours {
            let (mut tally, mut plain_tally) = (Tally::default(), Tally::default());
            let taken = collapse.take(&state, step, &mut tally);
            let mut next = world.clone();
            let plain = next.take(scope, step, &mut plain_tally);
            let about = format!("{} in {world:?}", step.says(&world));
            assert_eq!(tally.reached(), plain_tally.reached(), "{about}");
            match (taken, plain) {
                (Err(ours), Err(theirs)) => assert_eq!(ours, theirs),
                (Ok(None), Ok(false)) => {}
                (Ok(Some(state)), Ok(true)) => {
                    let fingerprint = next.fingerprint(scope);
                    assert_eq!(collapse.fingerprint(&state), fingerprint, "{about} comes to {next:?}");
                    let objection = collapse.look(&state).objection();
                    assert_eq!(objection, next.look(scope, |look| look.objection()));
                    if seen.insert(fingerprint) {
                        waiting.push_back((state, next));
                    }
                }
                (ours, theirs) => panic!("{ours:?} is not {theirs:?}: {about}"),
            }
        }
    }
    seen.len()
}

#[test]
fn one_leader_is_the_same_in_every_state() {
    assert!(compare(&runs::even("", 1, 1), usize::MAX) > 500);
    assert!(compare(&runs::even("", 2, 1), 3_000) >= 3_000);
}

#[test]
fn whatever_may_happen_is_the_same() {
    let all = Scope { reboots: true, fencing: true, wipes: true, ..runs::even("", 3, 3) };
    assert!(compare(&all, 1_500) >= 1_500);
    let restored = Scope { restores: true, ..runs::even("", 2, 3) };
    assert!(compare(&restored, 1_500) >= 1_500);
    let uneven = Scope { fixed: Some([2, 3, 3, 2, 3]), ..runs::uneven("", 2, 2) };
    assert!(compare(&uneven, 1_500) >= 1_500);
    let changing = Scope { varies: true, ..runs::uneven("", 2, 2) };
    assert!(compare(&changing, 1_500) >= 1_500);
}

#[test]
fn broken_rules_are_broken_in_the_same_way() {
    for wrong in Wrong::ALL {
        compare(&runs::broken(*wrong), 150);
    }
}
