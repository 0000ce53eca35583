//! Which pairs an observation may concern, and which are due although nothing was observed of them.
//!
//! The law: a pair's situation depends on its own members, their hosts and the time; whoever changes one of these
//! touches the pair, and whatever time alone changes stands in the index of what is due.

use std::collections::BTreeSet;

use understudy_model::{ApplicationName, HostName, Member, Moment, PairName};

use super::{Control, LinkEnd};

impl Control {
    /// Every pair.
    pub(super) fn touch_all(&mut self) {
        self.touched.extend(self.pairs.keys().cloned());
    }

    /// Every pair with a member on this host.
    pub(super) fn touch_host(&mut self, host: &HostName) {
        let pairs = self.applications.values().filter(|app| app.host == *host);
        self.touched.extend(pairs.filter_map(|app| app.pair.clone()));
    }

    /// Every pair with a member on a host that is not connected: whether one of these is lost depends on the others.
    pub(super) fn touch_gone_hosts(&mut self) {
        let gone: BTreeSet<&HostName> = self
            .hosts
            .iter()
            .filter(|(_, host)| {
                host.gone.is_some_and(|gone| matches!(gone.end, LinkEnd::Silent | LinkEnd::Refused))
            })
            .map(|(name, _)| name)
            .collect();
        let pairs = self.applications.values().filter(|app| gone.contains(&app.host));
        self.touched.extend(pairs.filter_map(|app| app.pair.clone()));
    }

    /// The pairs to look at now, in the order of their names.
    pub(super) fn take_touched(&mut self, now: Moment) -> Vec<PairName> {
        if self.looks_at_all {
            self.touch_all();
        }
        let due = self.due.iter().take_while(|(due, _)| *due <= now).map(|(_, name)| name.clone());
        self.touched.extend(due);
        std::mem::take(&mut self.touched).into_iter().collect()
    }

    /// Puts a pair that was looked at where it belongs in the index.
    pub(super) fn note_due(&mut self, now: Moment, name: &PairName) {
        let Some(pair) = self.pairs.get(name) else { return };
        let members = Member::BOTH.map(|member| pair.spec.application(member));
        let refusals = members.into_iter().flat_map(|member| self.refused_until(member));
        let losses = Member::BOTH.into_iter().filter_map(|member| self.lost_from(pair, member));
        let later = |due: &Moment| *due > now;
        let grants = self.grants_due(pair);
        let due = refusals
            .chain(losses)
            .chain(grants)
            .chain(self.hold_ends(pair))
            .chain(self.shortens_at(name))
            .filter(later)
            .chain(pair.deadline)
            .min();
        let before = pair.due;
        if before == due {
            return;
        }
        if let Some(before) = before {
            self.due.remove(&(before, name.clone()));
        }
        if let Some(due) = due {
            self.due.insert((due, name.clone()));
        }
        if let Some(pair) = self.pairs.get_mut(name) {
            pair.due = due;
        }
    }

    fn refused_until(&self, application: &ApplicationName) -> impl Iterator<Item = Moment> {
        let app = self.applications.get(application);
        let [promoted, demoted] = app.map_or([None, None], |app| [app.refused_until, app.demoted_again]);
        promoted.into_iter().chain(demoted)
    }
}
