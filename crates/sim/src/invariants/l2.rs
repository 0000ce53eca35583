//! L2: with any one voter other than the holder's own agent gone, a healthy primary stays primary, once all three voters
//! hold its epoch.
//!
//! Judged where it is certain: the primary has been one, and its own side whole, for a long span; so has one of the other two
//! voters, with the way to it. Under `policy = "available"` there are no votes: there the control server must be that one.

use understudy_model::Policy;

use super::Objection;
use super::s1::Acting;
use super::strain::Strain;
use crate::cast::Cast;
use crate::climate::{Climate, SECOND};
use crate::world::reloads::longest_lease;

/// L2.
#[derive(Debug)]
pub struct L2 {
    pub(super) objection: Objection,
    /// By pair: the only one that acts, and since when.
    sole: Vec<Option<(usize, u64)>>,
    /// How long everything that must be whole has been so.
    long: u64,
    lease: u64,
    strict: bool,
    /// By pair: what is demanded is put to the test now.
    tested: Vec<bool>,
    /// How often it was: a healthy primary, with one of its two other voters whole and the other one hurt for a lease.
    pub judged: u64,
    /// How often one lived on although the other voter was gone.
    pub spared: u64,
}

impl L2 {
    pub(super) fn new(climate: &Climate, cast: &Cast) -> Self {
        let lease = longest_lease(climate);
        Self {
            objection: Objection::default(),
            sole: vec![None; cast.pairs.len()],
            long: climate.long(),
            lease: u64::try_from(lease.as_nanos()).unwrap_or(u64::MAX),
            strict: climate.options.policy == Policy::Strict,
            tested: vec![false; cast.pairs.len()],
            judged: 0,
            spared: 0,
        }
    }

    /// The control server is back, and was away since then.
    pub fn control_back(&mut self, now: u64, since: u64) {
        let away = now.saturating_sub(since) > 2 * self.lease;
        let lived = |sole: &&Option<(usize, u64)>| sole.is_some_and(|(_, began)| began < since);
        if away {
            self.spared += self.sole.iter().filter(lived).count() as u64;
        }
    }

    fn count(&mut self, now: u64, pair: usize, part: usize, since: u64, acting: &Acting, strain: &Strain) {
        let other = if acting.parts[0] == part { acting.parts[1] } else { acting.parts[0] };
        let (host, peer) = (strain.host_of(part), strain.host_of(other));
        let by_control = strain.control_whole(now, host, self.long);
        let by_peer = self.strict && strain.peer_whole(now, host, peer, self.long);
        let hurt = (by_peer && strain.control_hurt(now, host, self.lease))
            || (by_control && host != peer && strain.peer_hurt(now, host, peer, self.lease));
        let tested =
            hurt && now.saturating_sub(since) >= self.long && strain.own_side_whole(now, part, self.long);
        self.judged += u64::from(tested && !self.tested[pair]);
        self.tested[pair] = tested;
    }

    pub(super) fn judge(&mut self, now: u64, pair: usize, acting: &Acting, strain: &Strain) {
        let sole = acting.sole();
        let former = self.sole[pair];
        if former.map(|(part, _)| part) == sole {
            if let Some((part, since)) = former {
                self.count(now, pair, part, since, acting, strain);
            }
            return;
        }
        self.tested[pair] = false;
        self.sole[pair] = sole.map(|part| (part, now));
        let Some((part, since)) = former.filter(|(_, since)| now - since >= self.long) else { return };
        let place = usize::from(acting.parts[1] == part);
        if acting.acts[place] {
            // Another one acts beside it: that is judged elsewhere.
            return;
        }
        let other = if acting.parts[0] == part { acting.parts[1] } else { acting.parts[0] };
        let (host, peer) = (strain.host_of(part), strain.host_of(other));
        let by_peer = self.strict && strain.peer_whole(now, host, peer, self.long);
        let helped = by_peer || strain.control_whole(now, host, self.long);
        if strain.own_side_whole(now, part, self.long) && helped {
            self.objection.raise("L2", now, || {
                let span = (now - since) / SECOND;
                format!("part {part} of pair {pair} was a healthy primary for {span} s and is one no more")
            });
        }
    }
}
