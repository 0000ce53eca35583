//! An agent that has obeyed a higher controller epoch turns a control server away: what the machine is told of that.
//!
//! The agent is played here. The law: the machine hears the number before it hears that there is no link.

use std::sync::Arc;
use std::time::Duration;

use understudy_decide::control::{Control, ControlSaw, LinkEnd};
use understudy_drive::{Inbox, Mail};
use understudy_model::{ControllerEpoch, HostName};
use understudy_scs::journal::Journal;
use understudy_scs::links::{Introduction, Links};
use understudy_scs::standing::Standing;
use understudy_store::{Reader, Store};
use understudy_transport::{Listener, Security};
use understudy_wire::{FromAgent, SPOKEN, ToAgent};

/// The longest that anything may take.
const LIMIT: Duration = Duration::from_secs(20);

async fn limited<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("in time")
}

/// What the machine is told of an agent that refuses, naming this epoch; ours is 1.
async fn told(highest: u64) -> Vec<ControlSaw> {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap(), Security::Plain).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let text = format!(
        "[cluster]\nname = \"demo\"\n[[host]]\nname = \"alpha\"\naddresses = [\"127.0.0.1\"]\nlca-port = {}\n",
        listener.address().to_string().rsplit(':').next().unwrap()
    );
    let cluster = Arc::new(understudy_settings::parse_cluster("c", &text).unwrap().value);
    let mut store = Store::open(directory.path()).unwrap();
    let controller = "scs-1".parse().unwrap();
    let controller_epoch = store.take_leadership(&controller).unwrap();
    let standing = Standing::new(directory.path(), Arc::clone(&cluster));
    let journal = Journal::start(store, Reader::open(directory.path()).unwrap(), standing).unwrap();
    let (inbox, mut mail) = Inbox::<Control>::new(8);
    let links = Links::new(inbox, journal, Security::Plain);
    let introduction = Introduction {
        controller,
        controller_epoch,
        cluster_name: "demo".to_owned(),
        cluster: None,
        lineage: [].into(),
    };
    links.reconcile(&cluster, &introduction);
    let stranger = limited(listener.accept()).await.unwrap();
    let (_hello, sender, _receiver) = limited(stranger.first_message::<ToAgent, FromAgent>()).await.unwrap();
    let refused = FromAgent::HelloRefused {
        reason: "another was obeyed".to_owned(),
        versions: SPOKEN,
        highest_controller_epoch: ControllerEpoch(highest),
    };
    sender.try_send(&refused).unwrap();
    let mut told = Vec::new();
    while !told.iter().any(|saw| matches!(saw, ControlSaw::LinkDown { .. })) {
        match limited(mail.recv()).await.expect("the links are there") {
            Mail::Saw(_, saw) => told.push(saw),
            Mail::Look(_) => unreachable!("nobody looks"),
        }
    }
    told
}

#[tokio::test]
async fn the_machine_hears_of_a_higher_epoch_and_then_that_it_is_not_welcome() {
    let told = told(9).await;
    let host: HostName = "alpha".parse().unwrap();
    assert_eq!(told[0], ControlSaw::Outranked { host, highest: ControllerEpoch(9) });
    assert!(matches!(told[1], ControlSaw::LinkDown { end: LinkEnd::Unwelcome, .. }), "{told:?}");
}

#[tokio::test]
async fn a_refusal_for_another_reason_is_only_a_refusal() {
    assert_eq!(told(1).await.len(), 1);
}
