//! Grants: who may act as primary, and until when. The rules G1 to G13 as small machines.
//!
//! An agent is, for each of its pairs, a [`voter::Voter`] (what it promised) and a [`holder::Holder`] (what its own member was
//! granted); a control server is a [`leader::Leadership`] and, for each pair, a [`leader::Leader`]. They are data: nothing
//! here sends, stores or waits.
//!
//! Refuses to know: links, files, clocks, who embeds it. The laws: an answer that a method returns is sent only after what
//! it says to keep is durable; a stored moment is always a deadline, never a beginning, so that what is over is over
//! whatever the clock says; epochs are never compared without their holders.

pub mod holder;
pub mod leader;
pub mod voter;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
pub use understudy_model::terms;
use understudy_model::{Epoch, Fact, Moment, RoleEpoch};

/// No lease is longer; settings allow less. A voter that took any would be bound for ever by one bad word.
pub const LONGEST_LEASE: Duration = Duration::from_secs(2 * 86_400);

/// The rules of `docs/protocols/grants.md`, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum GrantRule {
    G1,
    G2,
    G3,
    G4,
    G5,
    G6,
    G7,
    G8,
    G9,
    G10,
    G11,
    G12,
    G13,
}

impl fmt::Display for GrantRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A voter's word: nobody else is given the role before `until`, by the voter's own clock.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Promise {
    /// To whom, in which epoch.
    pub role: RoleEpoch,
    /// How long one renewal lasts. It is that of the epoch, the same with every voter: a change waits for the next one (G13).
    pub lease: Duration,
}

/// What an agent must find again after a crash, for one pair.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Kept {
    /// The newest promise, whoever it is to.
    pub promised: Option<Promise>,
    /// The highest epoch given up for an own member. Never entered again.
    pub closed: Epoch,
}

/// The answer to whoever asks for a vote.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Vote {
    /// Yes.
    Given(Given),
    /// No; nothing changed.
    Refused(Refused),
}

impl Vote {
    /// The grant, if it is one.
    pub fn given(&self) -> Option<&Given> {
        match self {
            Vote::Given(given) => Some(given),
            Vote::Refused(_) => None,
        }
    }
}

/// A grant or a renewal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Given {
    /// Made durable before this is answered; nothing for a renewal that lasts as long as the ones before.
    pub keep: Option<Kept>,
    /// Exactly what was asked for.
    pub role: RoleEpoch,
    /// Until when the voter is bound, by its own clock: for `status`, never for the one who asked.
    pub until: Moment,
    /// An own member that was promised the role before: its page says "not primary" before this is answered (G12).
    pub retire: Option<RoleEpoch>,
    /// Why it could be given.
    pub rule: GrantRule,
}

/// A refusal, with all that `why` needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Refused {
    /// What was asked for.
    pub asked: RoleEpoch,
    /// What is promised, named to whoever asked: a higher one of another holder means that it was overtaken (G5).
    pub promised: Option<RoleEpoch>,
    /// Why.
    pub because: Objection,
}

/// Why a vote is not given.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objection {
    /// The promise to another holder is not over before this moment.
    Promised(Moment),
    /// A promise at or above the asked epoch was made.
    Higher,
    /// The holder itself gave this epoch up.
    Released,
    /// This agent gave the epoch up for its own member.
    Closed(Epoch),
    /// The state file was empty: no vote before this moment.
    Silent(Moment),
    /// The state file was empty, and what the store holds is not known yet.
    Unread,
    /// The asked member is not of this pair's agent.
    NotOwn,
    /// This control server does not lead, or not any more.
    NotLeading,
    /// The store's role was not read in this leadership.
    NotRead,
    /// A store write for another holder is under way.
    Writing(RoleEpoch),
    /// It is being fenced by a device.
    Fencing,
    /// The store holds another role than the asked one.
    NotStored,
    /// Its holder counts on a longer lease than this voter knows of: at most this one.
    LongerLease(Duration),
}

impl Objection {
    /// The rule that objects.
    pub fn rule(&self) -> GrantRule {
        match self {
            Objection::Promised(_) | Objection::Higher | Objection::NotOwn => GrantRule::G1,
            Objection::NotStored | Objection::Writing(_) => GrantRule::G2,
            Objection::Released | Objection::Closed(_) => GrantRule::G5,
            Objection::NotLeading | Objection::NotRead | Objection::Silent(_) => GrantRule::G7,
            Objection::Fencing => GrantRule::G10,
            Objection::Unread => GrantRule::G11,
            Objection::LongerLease(_) => GrantRule::G13,
        }
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Objection::Promised(until) => write!(f, "another holder is promised until {until}"),
            Objection::Higher => write!(f, "a role at or above it was promised"),
            Objection::Released => write!(f, "its holder gave this epoch up"),
            Objection::Closed(epoch) => write!(f, "epochs up to {epoch} were given up for this member"),
            Objection::Silent(until) => {
                write!(f, "this agent's memory was empty; it does not vote before {until}")
            }
            Objection::Unread => {
                write!(f, "this agent's memory was empty; it has not heard what the store holds")
            }
            Objection::NotOwn => write!(f, "the member is not on this host"),
            Objection::NotLeading => write!(f, "this control server does not lead"),
            Objection::NotRead => write!(f, "the stored role was not read in this leadership"),
            Objection::Writing(role) => write!(f, "{role} is being stored"),
            Objection::Fencing => write!(f, "its host is being switched off"),
            Objection::NotStored => write!(f, "it is not the stored role"),
            Objection::LongerLease(known) => {
                write!(f, "it counts on a lease of more than {known:?}, the longest that is known here")
            }
        }
    }
}

impl Refused {
    /// What the rule saw, for a `Because`.
    pub fn facts(&self) -> Vec<Fact> {
        let fact = |what: &str, is: String| Fact { what: what.to_owned(), is };
        let mut facts = vec![fact("asked", self.asked.to_string())];
        facts.extend(self.promised.as_ref().map(|role| fact("promised", role.to_string())));
        facts.push(fact("objection", self.because.to_string()));
        facts.push(fact("rule", self.because.rule().to_string()));
        facts
    }
}

impl Given {
    /// What the rule saw, for a `Because`.
    pub fn facts(&self) -> Vec<Fact> {
        let fact = |what: &str, is: String| Fact { what: what.to_owned(), is };
        vec![
            fact("asked", self.role.to_string()),
            fact("promised-until", self.until.to_string()),
            fact("rule", self.rule.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use understudy_model::ApplicationName;

    #[test]
    fn a_refusal_says_what_was_asked_what_is_promised_and_which_rule() {
        let role = |epoch, name| RoleEpoch::new(Epoch(epoch), ApplicationName::new(name).unwrap());
        let refused = Refused {
            asked: role(3, "b"),
            promised: Some(role(2, "a")),
            because: Objection::Promised(Moment(5_000_000_000)),
        };
        let said: Vec<_> =
            refused.facts().into_iter().map(|fact| format!("{}: {}", fact.what, fact.is)).collect();
        assert_eq!(
            said,
            [
                "asked: (3, b)",
                "promised: (2, a)",
                "objection: another holder is promised until 5.000000s",
                "rule: G1"
            ]
        );
    }
}
