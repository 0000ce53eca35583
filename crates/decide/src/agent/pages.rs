//! What role pages and the guard are told: worked out anew from what is known after each observation.
//!
//! Refuses to know how a page is written and how a guard kills. The law (G4, G5): a page says "primary" only while its member
//! acts or is told to, and its process lives; it says no before an epoch is closed.

use std::collections::BTreeMap;

use understudy_model::{ApplicationName, Moment};

use super::lifecycle::Phase;
use super::out::Out;
use super::role::Part;
use super::{Agent, AgentDo, StartId};
use crate::grants::holder::Page;

/// A page that says no.
const NO: Page = Page { role: None, until: Moment(0) };

impl Agent {
    /// Tells pages and guard what is different.
    pub(super) fn show(&mut self, out: &mut Out) {
        let members: Vec<ApplicationName> = self
            .applications
            .iter()
            .filter(|(_, known)| known.role.is_some())
            .map(|(name, _)| name.clone())
            .collect();
        for name in &members {
            self.show_member(name, out);
        }
        let gone: Vec<ApplicationName> =
            self.shown.keys().filter(|name| !members.contains(name)).cloned().collect();
        for name in gone {
            self.shown.remove(&name);
            out.pages.push(AgentDo::ForgetPage { application: name });
        }
        let unguarded: Vec<_> = self.guarded.keys().filter(|name| !members.contains(name)).cloned().collect();
        for name in unguarded {
            if let Some((start, _)) = self.guarded.remove(&name) {
                out.process.push(AgentDo::Unguard { application: name, start });
            }
        }
        self.show_hooks(out);
    }

    /// Tells the guard of hooks: what may make a member act ends with its role, whoever is left to end it.
    pub(super) fn show_hooks(&mut self, out: &mut Out) {
        let later = !out.persist.is_empty();
        let mut wanted: BTreeMap<StartId, (ApplicationName, Moment)> = BTreeMap::new();
        for (name, known) in self.applications.iter().filter(|(_, known)| known.hooked()) {
            let hook = known.hook.as_ref().filter(|hook| hook.command).map(|hook| hook.id);
            if let (Some(hook), Some(kill_at)) = (hook, self.role_ends(name, false)) {
                wanted.insert(hook, (name.clone(), kill_at));
            }
            // Whatever is being ended stays guarded as it is until it is gone.
            for hook in hook.into_iter().chain(known.hooks_left.iter().copied()) {
                if let Some(told) = self.guarded_hooks.get(&hook) {
                    wanted.entry(hook).or_insert_with(|| told.clone());
                }
            }
        }
        if wanted == self.guarded_hooks {
            return;
        }
        if later {
            self.settle = true;
            return;
        }
        for (hook, (name, kill_at)) in &wanted {
            if self.guarded_hooks.get(hook).is_none_or(|(_, told)| told != kill_at) {
                let (application, start, kill_at) = (name.clone(), *hook, *kill_at);
                out.pages.push(AgentDo::Guard { application, start, kill_at });
            }
        }
        for (hook, (name, _)) in &self.guarded_hooks {
            if !wanted.contains_key(hook) {
                out.process.push(AgentDo::Unguard { application: name.clone(), start: *hook });
            }
        }
        self.guarded_hooks = wanted;
    }

    /// Tells page and guard of one member what is different.
    pub(super) fn show_member(&mut self, name: &ApplicationName, out: &mut Out) {
        self.show_page_and_guard(name, out);
        // Told with this decision, and it waits for no disk: what is asked after it may count on it (G13).
        if out.persist.is_empty() {
            self.cut_is_told(name);
        }
    }

    fn show_page_and_guard(&mut self, name: &ApplicationName, out: &mut Out) {
        let page = self.page_of(name);
        // With something to store, what is shown may be old when it is: only a "no" goes with it.
        let later = !out.persist.is_empty();
        if later && page.role.is_some() && self.shown.get(name) != Some(&page) {
            self.settle = true;
        } else if self.shown.get(name) != Some(&page) {
            self.shown.insert(name.clone(), page.clone());
            out.pages.push(AgentDo::ShowPage { application: name.clone(), page });
        }
        let told = self.guarded.get(name).copied();
        let wanted = self.guard_of(name).or_else(|| told.filter(|(start, _)| self.still_ends(name, *start)));
        if wanted == told {
            return;
        }
        if later {
            self.settle = true;
            return;
        }
        if let Some((start, _)) = told.filter(|(start, _)| wanted.is_none_or(|(now, _)| now != *start)) {
            out.process.push(AgentDo::Unguard { application: name.clone(), start });
            self.guarded.remove(name);
        }
        if let Some((start, kill_at)) = wanted {
            out.pages.push(AgentDo::Guard { application: name.clone(), start, kill_at });
            self.guarded.insert(name.clone(), (start, kill_at));
        }
    }

    /// What could not be done with a decision that was not stored is told anew.
    pub(super) fn show_again(&mut self) {
        self.shown.clear();
        // Whether it was told is not known.
        self.guarded.values_mut().for_each(|(_, kill_at)| *kill_at = Moment::default());
        self.guarded_hooks.values_mut().for_each(|(_, kill_at)| *kill_at = Moment::default());
        self.kept_peers = None;
        self.guard_needed = false;
    }

    pub(super) fn page_of(&self, name: &ApplicationName) -> Page {
        let Some(known) = self.applications.get(name) else { return NO };
        let Some(role) = &known.role else { return NO };
        // Who is to stop was demoted before: one that is being ended in its role was killed.
        let killed = matches!(known.phase, Phase::Stopping | Phase::Lingering);
        let acts = known.pid.is_some() && !killed && matches!(role.part, Part::Promoting | Part::Acting);
        let Some(acting) = role.role.as_ref().filter(|_| acts) else { return NO };
        if !self.grants.contains_key(&role.place.pair) {
            return Page { role: Some(acting.clone()), until: Moment(u64::MAX) };
        }
        let Some(own) = self.own(name).filter(|own| !own.expired) else { return NO };
        let page = own.holder.page();
        // A higher epoch of the same member is being stored: until it is held, the former one goes on (G8).
        let fits = page.role.as_ref().is_some_and(|role| role.epoch <= acting.epoch);
        if fits { page } else { NO }
    }

    /// A start that was guarded is being demoted or ended, and something of it lives: its guard stays as it is.
    fn still_ends(&self, name: &ApplicationName, start: StartId) -> bool {
        self.applications.get(name).is_some_and(|known| {
            let acts = known.role.as_ref().is_some_and(|role| role.part != Part::Idle);
            known.start == Some(start) && known.may_be_killed() && acts
        })
    }

    /// Until it is a backup again or gone, whatever lives of a start that acted on grants is killed when they run out.
    fn guard_of(&self, name: &ApplicationName) -> Option<(StartId, Moment)> {
        let known = self.applications.get(name).filter(|known| known.may_be_killed())?;
        Some((known.start?, self.role_ends(name, known.speaks())?))
    }

    /// When the guard kills for a member that acts on grants, or is told to; nothing for any other.
    fn role_ends(&self, name: &ApplicationName, reads_page: bool) -> Option<Moment> {
        let role = self.applications.get(name)?.role.as_ref().filter(|role| role.part != Part::Idle)?;
        let grants = self.grants.get(&role.place.pair)?;
        let holder = &grants.own.get(name)?.holder;
        holder.page().role.as_ref()?;
        Some(holder.kill_at(&grants.place.terms, reads_page))
    }
}
