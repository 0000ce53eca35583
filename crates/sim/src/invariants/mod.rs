//! What must hold, one file each, checked after every event.
//!
//! Refuses to change anything. The law: an invariant looks at what is so in the world, never at what a machine believes.

pub mod a1;
pub mod kept;
pub mod l1;
pub mod l2;
pub mod l3;
pub mod s1;
pub mod s2;
pub mod s3;
pub mod s4;
pub mod strain;

use understudy_model::{PairName, Policy, RoleEpoch, Rule};

use crate::cast::Cast;
use crate::climate::Climate;
use crate::sometimes::Sometimes;
use crate::world::World;
use strain::Strain;

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant.
    pub law: &'static str,
    /// When, in true time.
    pub at: u64,
    /// What was seen.
    pub what: String,
}

/// Where an invariant leaves what it found; the first one stays.
#[derive(Debug, Default)]
pub struct Objection(Option<Violation>);

impl Objection {
    /// Something must not be.
    pub fn raise(&mut self, law: &'static str, at: u64, what: impl FnOnce() -> String) {
        if self.0.is_none() {
            self.0 = Some(Violation { law, at, what: what() });
        }
    }
}

/// All of them.
pub struct Laws {
    /// At most one acts.
    pub s1: s1::S1,
    /// No stale command.
    pub s2: s2::S2,
    /// Durable first.
    pub s3: s3::S3,
    /// A stop is a stop.
    pub s4: s4::S4,
    /// All heals.
    pub l1: l1::L1,
    /// One voter less stops nobody.
    pub l2: l2::L2,
    /// The control plane away stops nobody.
    pub l3: l3::L3,
    /// Nobody doubts a good clock.
    pub a1: a1::A1,
    /// Who lacks what was acknowledged.
    pub kept: kept::Kept,
    /// What is broken now.
    pub strain: Strain,
    other: Objection,
    policy: Policy,
    /// The rule of the last order to promote, and who last became primary, by pair.
    promotions: Vec<(Option<Rule>, Option<usize>)>,
}

impl Laws {
    /// Nothing was seen yet.
    pub fn new(climate: &Climate, cast: &Cast) -> Self {
        Self {
            s1: s1::S1::new(cast),
            s2: s2::S2::default(),
            s3: s3::S3::new(climate),
            s4: s4::S4::new(climate, cast),
            l1: l1::L1::new(climate, cast),
            l2: l2::L2::new(climate, cast),
            l3: l3::L3::new(climate),
            a1: a1::A1::new(climate),
            kept: kept::Kept::new(cast),
            strain: Strain::new(climate, cast),
            other: Objection::default(),
            policy: climate.options.policy,
            promotions: vec![(None, None); cast.pairs.len()],
        }
    }

    /// The first thing that must not be, if there is one.
    pub fn broken(&self) -> Option<&Violation> {
        let all = [
            &self.s1.objection,
            &self.s2.objection,
            &self.s3.objection,
            &self.s4.objection,
            &self.l1.objection,
            &self.l2.objection,
            &self.l3.objection,
            &self.a1.objection,
            &self.kept.objection,
            &self.other,
        ];
        all.into_iter().find_map(|objection| objection.0.as_ref())
    }

    /// A machine asks again and again to be woken for what is past.
    pub fn spins(&mut self, at: u64, who: &str) {
        self.other.raise("rest", at, || format!("{who} does not come to rest"));
    }

    /// A role is written to the store.
    pub fn compare_and_set(
        &mut self,
        at: u64,
        stored: Option<&RoleEpoch>,
        expected: Option<&RoleEpoch>,
        next: &RoleEpoch,
    ) {
        if stored != expected || stored.is_some_and(|stored| stored.epoch >= next.epoch) {
            let what = || format!("{stored:?} is stored, {expected:?} was expected, {next} was written");
            self.other.raise("compare-and-set", at, what);
        }
    }

    /// A record of who has everything is written to the store.
    pub fn records_compare(&mut self, at: u64, as_expected: bool, pair: &PairName) {
        if !as_expected {
            self.other.raise("compare-and-set", at, || format!("another record of {pair} was expected"));
        }
    }

    /// A main process ended.
    pub fn member_ended(&mut self, now: u64, part: usize, begun_anew: bool) {
        self.l3.ended(now, part, begun_anew, &self.strain);
    }

    /// Why a member was ordered to be primary.
    pub fn promotion_because(&mut self, pair: usize, rule: Rule) {
        self.promotions[pair].0 = Some(rule);
    }

    /// A member has become primary.
    pub fn became_primary(&mut self, pair: usize, part: usize, sometimes: &mut Sometimes) {
        let (rule, last) = &mut self.promotions[pair];
        let former = last.replace(part);
        if former.is_none_or(|former| former == part) {
            return;
        }
        match rule {
            Some(Rule::OperatorAsked | Rule::SwitchoverStep | Rule::RollBack | Rule::HostLeaves) => {
                sometimes.switchovers += 1;
            }
            Some(_) | None => sometimes.failovers += 1,
        }
    }
}

/// Looks at everything.
pub fn check(world: &mut World) {
    world.laws.l3.judge(world.now, &world.laws.strain);
    for pair in 0..world.cast.pairs.len() {
        let acting = s1::acting(world, pair);
        let now = world.now;
        let strict = world.laws.policy == Policy::Strict;
        world.laws.s1.judge(now, pair, &acting, strict, &mut world.sometimes);
        world.laws.l2.judge(now, pair, &acting, &world.laws.strain);
        world.laws.l1.judge(now, pair, &acting, &world.laws.strain);
    }
}
