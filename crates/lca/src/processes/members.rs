//! What a member of a pair has beside what every application has: a role page, and a guard that can get hold of it.
//!
//! Refuses to decide who may act and when a member is killed. The law: a member whose page would prove nothing is started all
//! the same, and that is said, once.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, MutexGuard, PoisonError};

use understudy_decide::agent::{Spawn, StartId};
use understudy_guard::guards::Grip;
use understudy_model::ApplicationName;

use super::Processes;
use crate::pages::Pages;
use crate::platform::{Account, Platform};

impl<P: Platform> Processes<P> {
    /// Makes the page of a member before it is started, as it opens the page when it begins.
    pub(super) fn prepare_page(&self, spawn: &Spawn, account: &Account) -> Result<(), String> {
        if spawn.pair.is_none() {
            return Ok(());
        }
        self.pages.prepare(&spawn.application).map_err(|error| error.to_string())?;
        if account.uid == self.own.uid && self.is_first_warning(&spawn.application, Warned::OwnUser) {
            tracing::warn!(application = %spawn.application, user = %account.name,
                "it runs as the agent's own user, so it could write its own role page: give it a user of its own");
        }
        Ok(())
    }

    /// A member that reads another boot clock than its agent cannot know when its time is over.
    pub(super) fn check_clock(&self, application: &ApplicationName, tree: &P::Tree) {
        if self.pages.has(application)
            && self.platform.has_other_clock(tree)
            && self.is_first_warning(application, Warned::OtherClock)
        {
            tracing::warn!(%application,
                "it runs in another time namespace than the agent, so the expiry of its role page means nothing to it");
        }
    }

    fn is_first_warning(&self, application: &ApplicationName, warned: Warned) -> bool {
        let mut all = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert((application.clone(), warned))
    }

    /// The role pages of this host's members.
    pub fn pages(&self) -> &Arc<Pages> {
        &self.pages
    }

    /// What was launched, and is told to the machine right now.
    pub(super) fn launched(&self) -> MutexGuard<'_, BTreeMap<StartId, Arc<P::Tree>>> {
        // Every change is one insertion or removal.
        self.launched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The processes of a start from when the machine may hear of it.
    pub(super) fn tree(&self, start: StartId) -> Option<Arc<P::Tree>> {
        // In this order: it is put into the table before it is taken out here.
        let launched = self.launched().get(&start).cloned();
        launched.or_else(|| self.table.tree(start))
    }

    /// What a guard needs to kill a start or a hook; nothing if nothing of it is known to run.
    pub fn grip(&self, start: StartId) -> io::Result<Option<Grip>> {
        let tree = self.tree(start).or_else(|| self.hooks.tree(start));
        tree.map(|tree| self.platform.grip(&tree)).transpose()
    }
}

/// What an operator was told about an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Warned {
    /// It runs as the agent's own user.
    OwnUser,
    /// It reads another clock.
    OtherClock,
}
