//! Who calls at the places where the agent listens: control servers, and the agents of other hosts.
//!
//! Refuses to know what either says. The law: the kind of a caller's first message says with whom it wants to talk, and whoever
//! speaks of something else is refused as before. Control servers that were welcome before, and the hosts of peers, are let in
//! whatever strangers do.

use std::sync::Arc;

use understudy_transport::{Admission, Listener, Peer};
use understudy_wire::Kind;

use crate::accepting::accept_all;
use crate::gate::Gate;
use crate::links::Links;
use crate::peers::Peers;

/// Accepts callers as long as the runtime lives.
pub async fn serve(listener: Arc<Listener>, links: Arc<Links>, peers: Arc<Peers>) {
    let mut gate = Gate::default();
    let admit = |peer: &Peer| {
        let knows = |ip| links.knows(ip) || peers.knows(ip);
        let admission = gate.admit(peer, knows, understudy_drive::now());
        if admission == Admission::TurnedAway {
            links.turn_away_stranger(peer);
        }
        admission
    };
    accept_all(&listener, admit, |stranger| {
        let (links, peers) = (Arc::clone(&links), Arc::clone(&peers));
        tokio::spawn(async move {
            let peer = stranger.peer().to_string();
            match stranger.first_frame().await {
                Ok(first) if first.kind() == Kind::Peer => peers.meet(first).await,
                Ok(first) => links.converse(first).await,
                Err(error) => links.refuse_stranger(&peer, &error),
            }
        });
    })
    .await;
}
