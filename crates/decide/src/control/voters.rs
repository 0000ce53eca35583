//! What a pair with policy `strict` loses with a host: which of its three voters are there.
//!
//! Knows no grants and decides nothing: it says to people what the rules of grants would do. The law: a primary that can
//! hear neither the other member's agent nor a control server steps down before its lease is over.

use understudy_model::{HostName, Member, PairName, Policy};

use super::Control;
use super::state::Pair;

impl Control {
    /// For each host of this control server: what its loss would do to primaries elsewhere.
    pub(super) fn risks_of_own_hosts(&self) -> impl Iterator<Item = (&HostName, String)> {
        self.pairs.iter().filter_map(|(name, pair)| {
            let primary = self.primary_of(pair)?;
            let with_us = self.host_of(pair, primary.other()).filter(|host| self.own_hosts.contains(*host))?;
            let host = self.host_of(pair, primary).filter(|host| *host != with_us)?;
            (pair.spec.policy == Policy::Strict).then(|| {
                let text = format!(
                    "pair {name}: this control server and the agent of {} are two of its three voters: its primary {} on \
                     host {host} would have its own vote alone, and steps down within its lease of {:?}",
                    pair.spec.application(primary.other()),
                    pair.spec.application(primary),
                    self.longest_lease(pair)
                );
                (with_us, text)
            })
        })
    }

    /// A strict pair that lives by one vote beside its own, or would after the loss of one host.
    pub(super) fn warn_of_voters(&self, name: &PairName, pair: &Pair, warnings: &mut Vec<String>) {
        if pair.spec.policy != Policy::Strict || self.same_host(pair) {
            return;
        }
        let lease = self.longest_lease(pair);
        for member in Member::BOTH {
            if let Some(host) = self.host_of(pair, member).filter(|host| self.own_hosts.contains(*host)) {
                warnings.push(format!(
                    "pair {name}: two of its three voters are on host {host}, the agent there and this control server: \
                     its loss stops {} within the lease of {lease:?} if that is primary, and fails nothing over if it \
                     is not; run the control server on a third machine",
                    pair.spec.application(member.other())
                ));
            }
        }
        let Some(primary) = self.primary_of(pair) else { return };
        if let Some(why) = self.other_voter_missing(pair, primary) {
            warnings.push(format!(
                "pair {name}: {why}: if this control server stops, {} steps down within its lease of {lease:?}; mend that \
                 before you stop this one",
                pair.spec.application(primary)
            ));
        }
    }

    /// Why the other member's agent may be no voter for the primary now; none if the primary's agent hears it.
    fn other_voter_missing(&self, pair: &Pair, primary: Member) -> Option<String> {
        let (own, other) = (self.app(pair, primary)?, self.app(pair, primary.other())?);
        let strict = own.report.as_ref().and_then(|report| report.role.as_ref()?.strict.as_ref());
        match strict {
            Some(vote) if vote.peer_heard => None,
            Some(_) => {
                Some(format!("the agent of host {} does not hear that of host {}", own.host, other.host))
            }
            // It has not said what it hears.
            None if other.heard => None,
            None => Some(format!("the agent of host {} is not heard here, and perhaps nowhere", other.host)),
        }
    }

    fn host_of(&self, pair: &Pair, member: Member) -> Option<&HostName> {
        self.app(pair, member).map(|known| &known.host)
    }
}
