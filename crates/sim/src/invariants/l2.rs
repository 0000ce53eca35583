//! L2: with any one voter other than the holder's own agent gone, a healthy primary stays primary, once all three voters
//! hold its epoch.
//!
//! Judged where it is certain: the primary has been one, and its own side whole, for a long span; so has one of the other two
//! voters, with the way to it.

use super::Objection;
use super::s1::Acting;
use super::strain::Strain;
use crate::cast::Cast;
use crate::climate::SECOND;

/// How long everything that must be whole has been so.
const LONG: u64 = 40 * SECOND;

/// L2.
#[derive(Debug)]
pub struct L2 {
    pub(super) objection: Objection,
    /// By pair: the only one that acts, and since when.
    sole: Vec<Option<(usize, u64)>>,
    /// How often one lived on although the other voter was gone.
    pub spared: u64,
}

impl L2 {
    pub(super) fn new(cast: &Cast) -> Self {
        Self { objection: Objection::default(), sole: vec![None; cast.pairs.len()], spared: 0 }
    }

    pub(super) fn judge(&mut self, now: u64, pair: usize, acting: &Acting, strain: &Strain) {
        let sole = acting.sole();
        let former = self.sole[pair];
        if former.map(|(part, _)| part) == sole {
            return;
        }
        self.sole[pair] = sole.map(|part| (part, now));
        let Some((part, since)) = former.filter(|(_, since)| now - since >= LONG) else { return };
        let other = if acting.parts[0] == part { acting.parts[1] } else { acting.parts[0] };
        let (host, peer) = (strain.host_of(part), strain.host_of(other));
        let helped = strain.control_whole(now, host, LONG) || strain.peer_whole(now, host, peer, LONG);
        if strain.own_side_whole(now, part, LONG) && helped {
            self.objection.raise("L2", now, || {
                let span = (now - since) / SECOND;
                format!("part {part} of pair {pair} was a healthy primary for {span} s and is one no more")
            });
        }
    }
}
