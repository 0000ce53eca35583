//! The ways between machines: late, lossy, or cut, each direction by itself.
//!
//! Refuses to know what is carried. The law: what is on a way that is cut waits, as TCP does, and arrives after it is mended.

use super::World;
use crate::climate::MS;
use crate::queue::Event;

/// One direction between two machines.
#[derive(Debug, Clone)]
pub struct Lane {
    delay: (u64, u64),
    /// Cut, if above 0.
    pub cut: u32,
    /// Since when.
    pub cut_since: u64,
    /// Slow and lossy, if above 0.
    pub slow: u32,
}

impl Lane {
    /// Between two machines.
    pub fn new(delay: (u64, u64)) -> Self {
        Self { delay, cut: 0, cut_since: 0, slow: 0 }
    }

    /// Within one machine.
    pub fn loopback() -> Self {
        Self::new((20_000, 60_000))
    }
}

impl World {
    /// How long a letter takes from one machine to another.
    pub(super) fn transit(&mut self, from: usize, to: usize) -> u64 {
        let lane = &self.lanes[from][to];
        let slow = lane.slow > 0;
        let (least, most) = lane.delay;
        let dice = &mut self.dice.net;
        let mut span = dice.between(least, most);
        if slow {
            span += dice.scaled(MS, 100 * MS);
            if dice.chance(100) {
                // Lost, and sent again.
                span += (200 * MS) << dice.below(3);
            }
        }
        span
    }

    /// Whether a question and its answer get through now.
    pub(super) fn is_open(&self, from: usize, to: usize) -> bool {
        self.lanes[from][to].cut == 0 && self.lanes[to][from].cut == 0
    }

    /// Cuts a lane, or one cut of several of it ends.
    pub(super) fn cut_lane(&mut self, from: usize, to: usize, cut: bool) {
        let now = self.now;
        let lane = &mut self.lanes[from][to];
        if cut {
            lane.cut += 1;
            if lane.cut == 1 {
                lane.cut_since = now;
            }
            return;
        }
        lane.cut -= 1;
        if lane.cut == 0 {
            let lasted = now - lane.cut_since;
            self.mended(from, to, lasted);
        }
    }

    /// What waited is sent again, after up to as long again as it waited.
    fn mended(&mut self, from: usize, to: usize, lasted: u64) {
        for number in 0..self.links.len() {
            for side in 0..2 {
                let (source, target) = {
                    let link = &self.links[number];
                    (self.machine_of(link.ends[1 - side].party), self.machine_of(link.ends[side].party))
                };
                if (source, target) != (from, to) || self.links[number].ends[side].letters.is_empty() {
                    continue;
                }
                let again = self.dice.net.below(lasted.clamp(MS, 1_000 * MS));
                let span = again + self.transit(from, to);
                let link = &mut self.links[number];
                let at = self.now + span;
                link.ends[side].last = link.ends[side].last.max(at);
                for (_, due) in &mut link.ends[side].letters {
                    *due = (*due).max(at);
                }
                let event = Event::Delivers { link: number as u16, serial: link.serial, to: side as u8 };
                self.queue.put(at, event);
            }
        }
    }
}
