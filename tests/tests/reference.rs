//! The pages of `docs/reference/` that are made from the code.

use understudy_decide::agent::{lifecycle, role};
use understudy_decide::control::pair;
use understudy_decide::table::markdown;
use understudy_model::Rule;
use understudy_tests::keep_page;

const MADE: &str = "*Made from the code by a test; do not edit. `UPDATE_REFERENCE=1 cargo test -p understudy-tests` \
                    writes it.*\n\n";

#[test]
fn transitions() {
    let mut text = format!("# Transitions\n\n{MADE}");
    text.push_str(
        "Every pair of state and trigger has its move; guards are worked out before and are part of the trigger. \
         `Stay` is \"as it should be, or an answer is awaited\", `Ignore` is \"cannot be true here\".\n\n",
    );
    text.push_str("## Pair (control server)\n\n");
    text.push_str(&markdown(pair::next));
    text.push_str("\n## Application (agent)\n\n");
    text.push_str(&markdown(lifecycle::next));
    text.push_str("\n## Role of a member (agent)\n\n");
    text.push_str(&markdown(role::next));
    keep_page("reference/transitions.md", &text);
}

#[test]
fn reasons() {
    let mut text = format!("# Reasons\n\n{MADE}");
    text.push_str("Every event and every `scsctl why` names one of these rules.\n\n| rule | what it says |\n|---|---|\n");
    for rule in Rule::ALL {
        text.push_str(&format!("| `{}` | {} |\n", rule.id(), rule.says()));
    }
    keep_page("reference/reasons.md", &text);
}

#[test]
fn settings() {
    let text = format!("# Settings\n\n{MADE}{}", understudy_settings::reference_markdown());
    keep_page("reference/settings.md", &text);
}
