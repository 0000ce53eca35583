//! What may be kept after what was kept before, and what pages may say: the rules, asked of what can be seen from outside.
//!
//! Refuses to know the machines. The law: nothing here is worked out by what it judges.

use understudy_decide::agent::AgentRecord;
use understudy_model::{Moment, RoleEpoch};

use super::{Host, Lawful, Lie, Member};

impl Host {
    /// G1, G5 and G8: what may be kept after what was kept before.
    pub(super) fn keeps(&mut self, records: &[AgentRecord], lie: Option<Lie>) -> Lawful {
        let mut disk = self.disk.clone();
        for record in records {
            match record {
                AgentRecord::Promise { role, lease, .. } => {
                    let former = disk.promised.as_ref();
                    let other = former.is_some_and(|former| former.holder != role.holder);
                    let closed = former.is_some_and(|former| {
                        self.is_own(former) && former.epoch <= disk.closed.max(self.given_up)
                    });
                    let again = former == Some(role);
                    if other && self.now < self.word && !closed {
                        return Err(format!("G1: {role} is promised while another promise binds"));
                    }
                    if !again && former.is_some_and(|former| former.epoch >= role.epoch) {
                        return Err(format!("G1: {role} is promised after something as high"));
                    }
                    if self.is_own(role) && role.epoch <= disk.closed {
                        return Err(format!("G5: {role} is promised after it was given up"));
                    }
                    (disk.promised, disk.lease) = (Some(role.clone()), *lease);
                    self.word = self.now + *lease;
                }
                AgentRecord::Close { epoch, .. } => {
                    let acts = |member: &&Member| {
                        let page = member.page.role.as_ref().filter(|_| member.page.may_act(self.now));
                        page.is_some_and(|role| role.epoch <= *epoch)
                    };
                    if let Some(member) = self.members.iter().find(acts) {
                        return Err(format!(
                            "G5: {epoch} is closed while the page of {} says primary",
                            member.name
                        ));
                    }
                    disk.closed = disk.closed.max(*epoch);
                }
                AgentRecord::ControllerEpoch { .. } | AgentRecord::Assignments(_) => {}
            }
        }
        if lie != Some(Lie::StoredIsLost) {
            self.disk = disk;
        }
        Ok(())
    }

    /// S3, G3 and G12, of what the pages say now.
    pub(super) fn lawful(&self) -> Lawful {
        let acting: Vec<&Member> =
            self.members.iter().filter(|member| member.page.may_act(self.now)).collect();
        if acting.len() > 1 {
            return Err("S1: both members on one host may act".to_owned());
        }
        let Some(member) = acting.first() else { return Ok(()) };
        let Some(role) = &member.page.role else { return Ok(()) };
        let promised = self.disk.promised.as_ref();
        if role.holder != member.name {
            return Err(format!("G12: the page of {} says primary in {role}", member.name));
        }
        if role.epoch <= self.disk.closed {
            return Err(format!(
                "G5: the page of {} says primary in {role}, which was given up",
                member.name
            ));
        }
        if promised.is_none_or(|promised| promised.holder != role.holder || promised.epoch < role.epoch) {
            return Err(format!(
                "S3: the page of {} says primary in {role}, which is not promised durably",
                member.name
            ));
        }
        let counts =
            |(heard, _): &&(RoleEpoch, Moment)| heard.holder == role.holder && heard.epoch <= role.epoch;
        let heard = self.heard.iter().filter(counts).map(|(_, until)| *until).max();
        let until = heard.unwrap_or_default().max(member.adopted);
        if member.page.until > until {
            let more = member.page.until.since(until).as_millis();
            return Err(format!(
                "G3: the page of {} is valid for {more} ms more than anybody voted for",
                member.name
            ));
        }
        Ok(())
    }
}
