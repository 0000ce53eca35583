//! What a replay found, one leadership after the other. It judges nothing; the law: a difference is shown with both decisions.

use super::Show;
use crate::answers::{Replayed, ReplayedLeadership};
use crate::out::Tone;

/// All of it.
pub fn replay(replayed: &Replayed, show: Show) -> String {
    replayed.leaderships.iter().map(|one| leadership(one, show)).collect()
}

fn leadership(one: &ReplayedLeadership, show: Show) -> String {
    let mut text = format!(
        "{} controller epoch {}, began {}, version {}: {} observations, {} decisions, ",
        one.controller, one.epoch, one.began, one.version, one.steps, one.decisions
    );
    match (&one.difference, &one.stopped) {
        (Some(found), _) => {
            let told = |decision: &Option<String>| decision.clone().unwrap_or_else(|| "nothing".to_owned());
            text.push_str(&show.paint.tone(Tone::Bad, &format!("then another one in step {}", found.step)));
            text.push_str(&format!(
                ", at {}\n  saw       {}\n  recorded  {}\n  replayed  {}\n",
                found.at,
                found.saw,
                told(&found.recorded),
                told(&found.replayed)
            ));
        }
        (None, Some(why)) => {
            text.push_str(&show.paint.tone(Tone::Warn, &format!("all the same until it stopped: {why}")));
            text.push('\n');
        }
        (None, None) => text.push_str(&format!("{}\n", show.paint.tone(Tone::Good, "all the same"))),
    }
    text
}
