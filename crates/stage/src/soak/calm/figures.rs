//! What the programs themselves count: links that were lost, looks that came too late. Read from the figures that they
//! give Prometheus.
//!
//! It knows the text of an exposition and a few names. The law: a figure that is not told is an error, not a zero.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::api::text_of;
use crate::net::Station;
use crate::{Host, Stage, StageError};

/// How long a program may take to answer on a machine without a free core.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer, in bytes.
const LONGEST_ANSWER_BYTES: u64 = 1024 * 1024;

/// Sums over all of a program's links.
const OF_AGENTS: [&str; 6] = [
    "understudy_agent_control_link_connects_total",
    "understudy_agent_control_link_late_looks_total",
    "understudy_agent_control_link_polls_sent_total",
    "understudy_agent_peer_link_connects_total",
    "understudy_agent_peer_link_late_looks_total",
    "understudy_agent_peer_link_polls_sent_total",
];
const OF_SERVER: [&str; 1] = ["understudy_scs_link_late_looks_total"];
/// Of several, the most; over the whole life of a program.
const LATEST: [&str; 2] =
    ["understudy_agent_control_link_lateness_max_seconds", "understudy_agent_peer_link_lateness_max_seconds"];
const LATEST_OF_SERVER: [&str; 1] = ["understudy_scs_link_lateness_max_seconds"];

/// What was counted until a moment, by program and name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Counted {
    sums: BTreeMap<(&'static str, &'static str), f64>,
    latest_s: f64,
}

impl Counted {
    /// Asks both agents and the control server.
    pub fn now(stage: &Stage) -> Result<Self, StageError> {
        let mut counted = Self::default();
        for host in Host::ALL {
            counted.take(host.name(), &of_agent(stage, host)?, &OF_AGENTS, &LATEST)?;
        }
        counted.take("control server", &stage.api().text("/metrics")?, &OF_SERVER, &LATEST_OF_SERVER)?;
        Ok(counted)
    }

    fn take(
        &mut self,
        program: &'static str,
        text: &str,
        sums: &[&'static str],
        latest: &[&str],
    ) -> Result<(), StageError> {
        for name in sums {
            let sum = samples(program, text, name)?.into_iter().sum();
            self.sums.insert((program, name), sum);
        }
        for name in latest {
            self.latest_s = samples(program, text, name)?.into_iter().fold(self.latest_s, f64::max);
        }
        Ok(())
    }

    /// What came to it since `before`, for people.
    pub fn since(&self, before: &Self) -> Value {
        let mut programs: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        for ((program, name), sum) in &self.sums {
            let more = sum - before.sums.get(&(*program, *name)).copied().unwrap_or(0.0);
            let short = name.trim_start_matches("understudy_agent_").trim_start_matches("understudy_scs_");
            let short = short.trim_end_matches("_total").to_owned();
            programs.entry(program).or_default().insert(short, json!(more));
        }
        json!({ "by_program": programs, "latest_look_late_ms": (self.latest_s * 1_000.0).round() })
    }
}

/// Every sample of one name.
fn samples(program: &str, text: &str, name: &str) -> Result<Vec<f64>, StageError> {
    let wrong = |what: &str| StageError::Unexpected(format!("the figures of {program} {what} {name}"));
    let mut found = Vec::new();
    let mut announced = false;
    for line in text.lines() {
        announced |= line.split(' ').nth(2) == Some(name) && line.starts_with("# TYPE ");
        let Some(rest) = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' '])) else {
            continue;
        };
        let value = rest.rsplit(' ').next().and_then(|value| value.parse().ok());
        found.push(value.ok_or_else(|| wrong("say no number after"))?);
    }
    if announced { Ok(found) } else { Err(wrong("do not have")) }
}

/// From within the host's own network, so that no loss is in the way.
fn of_agent(stage: &Stage, host: Host) -> Result<String, StageError> {
    let none = || StageError::Unexpected(format!("the agent of {} answers no figures", host.name()));
    let address = stage.plan().status_place(host).ok_or_else(none)?;
    let asked = stage.network()?.place(Station::Host(host)).run(move || ask(address))?;
    let answer = asked.map_err(StageError::system("ask an agent for its figures"))?;
    text_of("GET /metrics", &answer).map_err(StageError::from)
}

fn ask(address: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER_BYTES).read_to_end(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_name_are_found_and_a_missing_name_is_an_error() {
        let text = "# HELP a_total x\n# TYPE a_total counter\na_total{host=\"b c\"} 2\na_total{host=\"d\"} 3\na_total_more 9\n\
                    # TYPE none counter\n";
        assert_eq!(samples("p", text, "a_total").unwrap(), [2.0, 3.0]);
        assert_eq!(samples("p", text, "none").unwrap(), Vec::<f64>::new());
        assert!(samples("p", text, "other").is_err());
        assert!(samples("p", "# TYPE a counter\na x\n", "a").is_err());
    }

    #[test]
    fn only_what_came_to_it_is_told() {
        let counted = |sum| Counted {
            sums: [(("alpha", "understudy_agent_peer_link_connects_total"), sum)].into(),
            latest_s: 0.02,
        };
        let told = counted(7.0).since(&counted(5.0));
        assert_eq!(told["by_program"]["alpha"]["peer_link_connects"], json!(2.0));
        assert_eq!(told["latest_look_late_ms"], json!(20.0));
    }
}
