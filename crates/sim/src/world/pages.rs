//! Role pages: what a member reads before it acts. They are memory of the host, and outlive the agent that writes them.
//!
//! Refuses to know what they are good for. The law: a reader sees the last whole page, and its own host's clock.

use understudy_decide::grants::holder::Page;
use understudy_model::{ApplicationName, Moment};

use super::World;

impl World {
    pub(super) fn show_page(&mut self, host: usize, name: &ApplicationName, page: Page) {
        let Some(part) = self.cast.part(name) else { return };
        self.agents[host].pages[part] = Some(page);
    }

    pub(super) fn forget_page(&mut self, host: usize, name: &ApplicationName) {
        let Some(part) = self.cast.part(name) else { return };
        let page = Page { role: None, until: Moment::default() };
        self.agents[host].pages[part] = Some(page);
    }
}
