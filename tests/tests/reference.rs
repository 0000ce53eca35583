//! The pages of `docs/reference/` that are made from the code.

use std::collections::BTreeMap;
use std::sync::Arc;

use understudy_decide::agent::{lifecycle, role};
use understudy_decide::control::ClusterView;
use understudy_decide::control::pair;
use understudy_decide::table::markdown;
use understudy_lca::status::{board, figures};
use understudy_model::{Incarnation, Rule};
use understudy_scs::figures::Figures;
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

#[test]
fn metrics() {
    let server = Figures::default().text(&ClusterView::default(), 0, &BTreeMap::new());
    let agent = figures::text(&board::Seen {
        host: "alpha".parse().unwrap(),
        incarnation: Incarnation(1),
        picture: Arc::default(),
        counts: board::Counts::default(),
        decisions: 0,
        links: board::LinkFigures::default(),
    });
    let mut text = format!("# Metrics\n\n{MADE}");
    text.push_str(
        "Text format 0.0.4 of Prometheus; seconds and counts. Counters begin anew with the program.\n",
    );
    for (title, figures) in [
        ("The control server, `/metrics` of the operators' API", server),
        ("An agent, `/metrics` of its status port", agent),
    ] {
        text.push_str(&format!("\n## {title}\n\n| name | kind | what it says |\n|---|---|---|\n"));
        let mut lines = figures.lines();
        while let Some(line) = lines.next() {
            let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' '))
            else {
                continue;
            };
            let kind = lines.next().and_then(|line| line.rsplit(' ').next()).unwrap();
            text.push_str(&format!("| `{name}` | {kind} | {help} |\n"));
        }
    }
    keep_page("reference/metrics.md", &text);
}
