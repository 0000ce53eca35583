//! Who calls at the places where the agent listens: control servers, and the agents of other hosts.
//!
//! Refuses to know what either says. The law: the kind of a caller's first message says with whom it wants to talk, and whoever
//! speaks of something else is refused as before.

use std::sync::Arc;

use understudy_transport::Listener;
use understudy_wire::Kind;

use crate::accepting::accept_all;
use crate::links::Links;
use crate::peers::Peers;

/// Accepts callers as long as the runtime lives.
pub async fn serve(listener: Arc<Listener>, links: Arc<Links>, peers: Arc<Peers>) {
    accept_all(&listener, |stranger| {
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
