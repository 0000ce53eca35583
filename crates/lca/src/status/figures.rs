//! The figures of the agent, for Prometheus.
//!
//! Knows no sockets and no board. The law: labels are names of this host's own applications and words of the program,
//! never what a stranger said.

use std::collections::BTreeMap;

use understudy_drive::exposition::Exposition;
use understudy_model::{ApplicationName, ApplicationStatus, RunMode};

use super::answer::{is_primary, is_ready};
use super::board::{LinkFigures, Seen, Shown};

/// Every figure of the agent.
pub fn text(seen: &Seen) -> String {
    let Seen { host, incarnation, picture, counts, decisions, links } = seen;
    let mut all = Exposition::new();
    let build = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("host", host.as_str()),
        ("incarnation", &incarnation.to_string()),
    ];
    all.gauge("understudy_agent_build_info", "Version and life of this agent; always 1.").sample(&build, 1);

    let help = "Applications of this host by status and run mode.";
    let mut family = all.gauge("understudy_agent_applications", help);
    for status in ApplicationStatus::ALL {
        for mode in RunMode::ALL {
            let count = picture
                .applications
                .values()
                .filter(|shown| shown.status == *status && shown.run_mode == *mode)
                .count();
            if count > 0 || (*status == ApplicationStatus::Started && *mode != RunMode::Exiting) {
                family.sample(&[("status", status.as_str()), ("run_mode", mode.as_str())], count as u64);
            }
        }
    }
    each(&mut all, &picture.applications);
    let help =
        "Clocks of other voters that this agent found to run apart from that of its host, and still doubts.";
    all.gauge("understudy_agent_clock_doubts", help).sample(&[], picture.clock_doubts);
    let mut family = all.counter("understudy_agent_events_total", "Events told, by kind.");
    for (kind, count) in &counts.events {
        family.sample(&[("kind", kind)], *count);
    }
    let help = "Decisions of the agent's machine in this life.";
    all.counter("understudy_agent_decisions_total", help).sample(&[], *decisions);
    let mut family = all.counter("understudy_agent_status_requests_total", "Answers on the status port.");
    for (status, count) in &counts.answers {
        family.sample(&[("code", &status.to_string())], *count);
    }
    show_links(&mut all, links);
    all.text()
}

/// Figures of the links to control servers and applications.
fn show_links(all: &mut Exposition, links: &LinkFigures) {
    let help = "Control servers that are connected and welcome.";
    all.gauge("understudy_agent_control_links", help).sample(&[], links.control_links);
    let help = "Applications that are connected.";
    all.gauge("understudy_agent_application_links", help).sample(&[], links.application_links);
    let help = "Frames and connections that were refused, by kind of link and reason.";
    let mut family = all.counter("understudy_agent_refusals_total", help);
    for (link, reason, count) in &links.refusals {
        family.sample(&[("link", link), ("reason", reason)], *count);
    }
    let help = "Links of control servers that began; each after the first of a server is a reconnect.";
    all.counter("understudy_agent_control_link_connects_total", help).sample(&[], links.control.begun());
    let help = "Links of control servers that ended, by reason.";
    let mut family = all.counter("understudy_agent_control_link_losses_total", help);
    for (reason, count) in links.control.ended() {
        family.sample(&[("reason", reason)], count);
    }
    let addp = links.control.addp();
    let help = "Polls of ADDP sent to control servers: each after a timeout of silence.";
    all.counter("understudy_agent_control_link_polls_sent_total", help).sample(&[], addp.polls_sent);
    let help = "Polls of ADDP from control servers that were answered.";
    all.counter("understudy_agent_control_link_polls_answered_total", help).sample(&[], addp.polls_answered);
    let help = "Looks at these links that came too late: this program or its machine was too busy.";
    all.counter("understudy_agent_control_link_late_looks_total", help).sample(&[], addp.late_looks);
    let help = "By how much the latest of these looks came too late.";
    all.gauge("understudy_agent_control_link_lateness_max_seconds", help).seconds(&[], addp.latest);
    show_peer_links(all, links);
    let help = "Connections of applications that were taken; each after the first of a start is a reconnect.";
    let count = links.application_connects;
    all.counter("understudy_agent_application_link_connects_total", help).sample(&[], count);
}

/// Figures of the links to other agents.
fn show_peer_links(all: &mut Exposition, links: &LinkFigures) {
    let help = "Agents of other hosts that are linked with this one: those of the other members of its strict pairs.";
    all.gauge("understudy_agent_peer_links", help).sample(&[], links.peer_links);
    let help = "Links to other agents that began; each after the first of a peer is a reconnect.";
    all.counter("understudy_agent_peer_link_connects_total", help).sample(&[], links.peer.begun());
    let help = "Links to other agents that ended, by reason.";
    let mut family = all.counter("understudy_agent_peer_link_losses_total", help);
    for (reason, count) in links.peer.ended() {
        family.sample(&[("reason", reason)], count);
    }
    let addp = links.peer.addp();
    let help = "Polls of ADDP sent to other agents: each after a timeout of silence.";
    all.counter("understudy_agent_peer_link_polls_sent_total", help).sample(&[], addp.polls_sent);
    let help = "Polls of ADDP from other agents that were answered.";
    all.counter("understudy_agent_peer_link_polls_answered_total", help).sample(&[], addp.polls_answered);
    let help = "Looks at the links to other agents that came too late.";
    all.counter("understudy_agent_peer_link_late_looks_total", help).sample(&[], addp.late_looks);
    let help = "By how much the latest look at a link to another agent came too late.";
    all.gauge("understudy_agent_peer_link_lateness_max_seconds", help).seconds(&[], addp.latest);
}

/// Figures of each application.
fn each(all: &mut Exposition, applications: &BTreeMap<ApplicationName, Shown>) {
    let mut family = all.gauge("understudy_agent_application_primary", "1 if it acts as primary and serves.");
    for (name, shown) in applications {
        family.sample(&[("application", name.as_str())], u64::from(is_primary(shown).is_ok()));
    }
    let mut family = all.gauge("understudy_agent_application_ready", "1 if it runs and is ready.");
    for (name, shown) in applications {
        family.sample(&[("application", name.as_str())], u64::from(is_ready(shown).is_ok()));
    }
    let help = "The epoch in which a member acts; 0 if it does not act.";
    let mut family = all.gauge("understudy_agent_application_epoch", help);
    for (name, shown) in applications {
        let epoch = shown.epoch.map_or(0, |epoch| epoch.0);
        family.sample(&[("application", name.as_str())], epoch);
    }
    let help = "Starts that the agent made by itself since it was last asked to start it.";
    let mut family = all.gauge("understudy_agent_application_restarts", help);
    for (name, shown) in applications {
        family.sample(&[("application", name.as_str())], u64::from(shown.restarts));
    }
    let help = "1 if its agent gave up restarting it.";
    let mut family = all.gauge("understudy_agent_application_gave_up", help);
    for (name, shown) in applications {
        family.sample(&[("application", name.as_str())], u64::from(shown.gave_up));
    }
}
