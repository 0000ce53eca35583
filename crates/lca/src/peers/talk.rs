//! One link between two agents that know each other, from its first word to its last.
//!
//! It decides nothing of what it hears. The law: a link is observed as one stretch, from *joined* to *left*, and the stretches
//! of two links of one peer never mix.

use tokio::sync::{oneshot, watch};
use understudy_decide::agent::AgentSaw;
use understudy_model::{AgentId, HostName};
use understudy_transport::{Receiver, Sender};
use understudy_wire::PeerSaid;

use super::{Peers, Place, TakenIn};

impl Peers {
    /// Takes the link in and hears it until it ends.
    pub(super) async fn talk(
        &self,
        host: &HostName,
        agent: AgentId,
        (sender, mut receiver): (Sender<PeerSaid>, Receiver<PeerSaid>),
        mut place: watch::Receiver<Place>,
    ) {
        receiver.watch(place.borrow_and_update().addp);
        let pulse = sender.pulse().clone();
        let Some(TakenIn { number, mut ended, turn }) = self.take_in(host, sender) else { return };
        // The former link has been told to end; what it brought is observed before anything of this one.
        let turn = tokio::select! {
            biased;
            _ = &mut ended => return,
            turn = turn.lock() => turn,
        };
        tracing::info!(%host, %agent, "linked to the agent there");
        self.lock_tally().begin(&pulse);
        let mut reason = "ended-here";
        if self.inbox.saw(AgentSaw::PeerJoined { host: host.clone() }).await {
            reason = self.listen(host, &mut receiver, place, &mut ended).await;
        }
        self.lock_tally().end(&pulse, reason);
        self.take_out(host, number);
        tracing::info!(%host, %agent, reason, "the link to the agent there ended");
        self.inbox.saw(AgentSaw::PeerLeft { host: host.clone() }).await;
        drop(turn);
    }

    /// Hears a peer until the link ends, and says why it did.
    async fn listen(
        &self,
        host: &HostName,
        receiver: &mut Receiver<PeerSaid>,
        mut place: watch::Receiver<Place>,
        ended: &mut oneshot::Receiver<&'static str>,
    ) -> &'static str {
        loop {
            let heard = tokio::select! {
                biased;
                reason = &mut *ended => return reason.unwrap_or("let-go"),
                changed = place.changed() => match changed {
                    Ok(()) => {
                        receiver.watch(place.borrow_and_update().addp);
                        continue;
                    }
                    Err(_) => return "let-go",
                },
                heard = receiver.next() => heard,
            };
            let host = host.clone();
            let saw = match heard {
                Ok(Some(PeerSaid::Ask(ask))) => AgentSaw::PeerAsked { host, ask },
                Ok(Some(PeerSaid::Vote(answer))) => AgentSaw::PeerVoted { host, answer },
                Ok(Some(PeerSaid::Release(release))) => AgentSaw::PeerReleased { host, release },
                Ok(Some(PeerSaid::Remembered(remembered))) => AgentSaw::PeerRemembers { host, remembered },
                Ok(Some(PeerSaid::Hello(_) | PeerSaid::Welcome { .. } | PeerSaid::Refused { .. })) => {
                    self.refusals.count_word(
                        host.as_str(),
                        "second-hello",
                        "a link has one Hello and one answer",
                    );
                    return "second-hello";
                }
                Ok(None) => return "closed",
                Err(error) => {
                    self.refusals.count(host.as_str(), &error);
                    return error.word();
                }
            };
            if !self.inbox.saw(saw).await {
                return "ended-here";
            }
        }
    }
}
