//! A1: no clock is doubted, and nobody loses a role to a doubt, in a world whose clocks keep to what is assumed of them.
//!
//! Refuses to know how clocks are compared. The law: whatever is late, lost, doubled, frozen or started anew, agents that hold
//! answers against their clocks find nothing; where clocks stop with their machines, they are free to.

use understudy_model::Rule;

use super::Objection;
use crate::climate::Climate;

/// A1.
#[derive(Debug)]
pub struct A1 {
    pub(super) objection: Objection,
    /// Clocks keep to what is assumed.
    holds: bool,
}

impl A1 {
    pub(super) fn new(climate: &Climate) -> Self {
        Self { objection: Objection::default(), holds: !climate.options.clocks_stop }
    }

    /// An agent said why.
    pub fn told(&mut self, now: u64, host: usize, rule: Rule, why: &str) {
        if self.holds && matches!(rule, Rule::ClocksApart | Rule::RoleLost) {
            self.objection
                .raise("A1", now, || format!("the agent of host {host} says without a reason: {why}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::climate::Options;

    #[test]
    fn a_doubt_is_an_objection_where_clocks_keep_to_what_is_assumed() {
        for (clocks_stop, rule, objects) in [
            (false, Rule::ClocksApart, true),
            (false, Rule::RoleLost, true),
            (false, Rule::GrantExpired, false),
            (true, Rule::ClocksApart, false),
        ] {
            let climate = Climate::of(1, Options { clocks_stop, ..Options::default() });
            let mut a1 = A1::new(&climate);
            a1.told(5, 0, rule, "because");
            assert_eq!(a1.objection.0.is_some(), objects, "{clocks_stop} {rule}");
        }
    }
}
