//! Two ends of a link over real sockets: order, ends, slow peers, many senders.

mod support;

use support::*;
use understudy_transport::{Listener, Peer, Security, SendError};
use understudy_wire::ToAgent;

#[tokio::test]
async fn both_sides_talk_over_every_kind_of_link() {
    let (_directory, kinds) = all_kinds();
    for kind in kinds {
        let listener = Listener::bind(&kind, Security::Plain).await.unwrap();
        let (mut controller, mut agent) = link(&listener).await;
        for number in 0..100 {
            exchange(&mut controller, &mut agent, number).await;
        }
    }
}

#[tokio::test]
async fn what_was_said_before_the_end_is_heard_and_then_the_end() {
    let (_directory, kinds) = all_kinds();
    for kind in kinds {
        let listener = Listener::bind(&kind, Security::Plain).await.unwrap();
        let ((to_agent, mut from_agent), (to_controller, mut from_controller)) = link(&listener).await;
        for number in 0..3 {
            to_agent.try_send(&order(number)).unwrap();
        }
        drop(to_agent);
        for number in 0..3 {
            assert_eq!(soon(from_controller.next()).await.unwrap(), Some(order(number)));
        }
        assert_eq!(soon(from_controller.next()).await.unwrap(), None);
        assert_eq!(soon(from_controller.next()).await.unwrap(), None, "an ended link stays so");
        assert!(to_controller.is_closed());
        assert!(matches!(to_controller.try_send(&answer(1)), Err(SendError::Closed)));
        drop(to_controller);
        assert_eq!(soon(from_agent.next()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_fills_the_queue_and_loses_nothing() {
    let (_directory, kinds) = all_kinds();
    for kind in kinds {
        let listener = Listener::bind(&kind, Security::Plain).await.unwrap();
        let ((_to_agent, mut from_agent), (to_controller, _from_controller)) = link(&listener).await;
        // In the first round the writer task has just begun, in the second it sleeps and must be woken.
        let (mut next, mut heard) = (0, 0);
        for _round in 0..2 {
            let messages = loop {
                match to_controller.try_send(&long_words(next)) {
                    Ok(()) => next += 1,
                    Err(SendError::Full { messages, .. }) => break messages,
                    Err(error) => panic!("{error}"),
                }
                assert!(next < 1_000_000, "the queue is bounded");
            };
            assert_eq!(messages, understudy_transport::MOST_QUEUED_MESSAGES);
            while heard < next {
                assert_eq!(soon(from_agent.next()).await.unwrap(), Some(long_words(heard)));
                heard += 1;
            }
        }
    }
}

#[tokio::test]
async fn what_is_queued_is_still_written_after_the_sender_is_gone() {
    let listener = Listener::bind(&address("127.0.0.1:0"), Security::Plain).await.unwrap();
    let ((_to_agent, mut from_agent), (to_controller, _from_controller)) = link(&listener).await;
    let mut accepted = 0;
    while to_controller.try_send(&long_words(accepted)).is_ok() {
        accepted += 1;
    }
    drop(to_controller);
    for number in 0..accepted {
        assert_eq!(soon(from_agent.next()).await.unwrap(), Some(long_words(number)));
    }
    assert_eq!(soon(from_agent.next()).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_does_not_hold_the_last_words_for_ever() {
    let listener = Listener::bind(&address("127.0.0.1:0"), Security::Plain).await.unwrap();
    let ((_to_agent, mut from_agent), (to_controller, from_controller)) = link(&listener).await;
    let mut accepted = 0;
    while to_controller.try_send(&long_words(accepted)).is_ok() {
        accepted += 1;
    }
    drop((to_controller, from_controller));
    // The clock of this test jumps forward as soon as everybody waits.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    let mut heard = 0;
    while let Ok(Some(_)) = from_agent.next().await {
        heard += 1;
    }
    assert!(heard < accepted, "{heard} of {accepted} were heard, the rest was given up");
}

#[tokio::test]
async fn the_sender_learns_that_its_peer_is_gone() {
    let (_directory, kinds) = all_kinds();
    for kind in kinds {
        let listener = Listener::bind(&kind, Security::Plain).await.unwrap();
        let ((to_agent, mut from_agent), agent) = link(&listener).await;
        drop(agent);
        assert!(matches!(soon(from_agent.next()).await, Ok(None) | Err(_)));
        assert!(matches!(to_agent.try_send(&order(1)), Err(SendError::Closed)));
    }
}

#[tokio::test]
async fn a_sender_without_its_receiver_learns_it_too() {
    let listener = Listener::bind(&address("127.0.0.1:0"), Security::Plain).await.unwrap();
    let ((to_agent, from_agent), agent) = link(&listener).await;
    drop((from_agent, agent));
    soon(async {
        while to_agent.try_send(&order(1)).is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(to_agent.is_closed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_on_many_threads_keep_their_own_order() {
    const THREADS: u64 = 4;
    const EACH: u64 = 2_000;
    let listener = Listener::bind(&address("127.0.0.1:0"), Security::Plain).await.unwrap();
    let ((to_agent, _from_agent), (_to_controller, mut from_controller)) = link(&listener).await;
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let to_agent = to_agent.clone();
            std::thread::spawn(move || {
                for number in 0..EACH {
                    while let Err(error) = to_agent.try_send(&order(thread * EACH + number)) {
                        assert!(matches!(error, SendError::Full { .. }), "{error}");
                        std::thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let mut next = [0; THREADS as usize];
    for _ in 0..THREADS * EACH {
        let Some(ToAgent::Order(order)) = soon(from_controller.next()).await.unwrap() else {
            panic!("the link ended early")
        };
        let (thread, number) = ((order.id.0 / EACH) as usize, order.id.0 % EACH);
        assert_eq!(number, next[thread], "thread {thread}");
        next[thread] += 1;
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[tokio::test]
async fn a_message_that_does_not_fit_leaves_the_link_as_it_was() {
    let listener = Listener::bind(&address("127.0.0.1:0"), Security::Plain).await.unwrap();
    let (mut controller, mut agent) = link(&listener).await;
    let ToAgent::Hello(mut hello) = hello() else { unreachable!("hello is a Hello") };
    hello.cluster_name = "x".repeat(5000);
    assert!(matches!(controller.0.try_send(&ToAgent::Hello(hello)), Err(SendError::Encode(_))));
    exchange(&mut controller, &mut agent, 1).await;
}

#[tokio::test]
async fn the_system_says_who_is_at_the_other_end() {
    let (_directory, kinds) = all_kinds();
    for kind in kinds {
        let listener = Listener::bind(&kind, Security::Plain).await.unwrap();
        let _connection = connect(listener.address()).await;
        let stranger = soon(listener.accept()).await.unwrap();
        match stranger.peer() {
            Peer::Tcp(socket) => assert!(socket.ip().is_loopback()),
            Peer::Unix { pid, .. } => assert_eq!(*pid, Some(std::process::id())),
        }
    }
}
