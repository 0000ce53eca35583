//! Which data the Redis recipe promotes where it is not plain: files that went back, equal epochs, marks that somebody wants to
//! remove, data from before the cluster.
//!
//! It knows two servers and no cluster. The law: each story here is one in which older data could pass for the newest.

use std::fs;

use understudy_stage::redis::Reply;

use crate::ground::has;
use crate::redis_scripts::Two;

fn text(text: &str) -> Reply {
    Reply::Text(text.to_owned())
}

#[test]
fn a_file_that_lacks_the_last_copy_is_neither_hidden_nor_believed() {
    if !has("redis-server", "redis-server") {
        return;
    }
    let mut two = Two::new();
    two.start(0);
    two.start(1);
    two.promotes(0, 1);
    // The first copy, and its file: until then the other has nothing at all.
    two.until_linked(1);
    two.until("its file is whole", || two.is_file_whole(1));
    two.kill(1);
    two.promotes(0, 2);
    for key in 0..20 {
        assert!(two.client(0).set(&key.to_string(), "1").unwrap());
    }
    // Two members that have everything, and one whose file needs ten seconds more.
    let slow = two.place(1).join("slow.conf");
    fs::write(&slow, "rdb-key-save-delay 500000\n").unwrap();
    two.start_with(1, &[("REDIS_CONFIG", slow.to_str().unwrap())]);
    two.until_linked(1);
    assert_eq!(two.mark(1), text("2 redis-1"));
    two.kill(0);
    let taken = two.script(1, "promote", 3).env("REDIS_WHOLE_MS", "100").output().unwrap();
    let said = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert!(taken.status.success() && said.contains("its file does not have the last copy yet"), "{taken:?}");
    assert!(!two.is_file_whole(1), "it is still being made, or this shows nothing");
    assert!(two.client(1).set("written", "3").unwrap());
    // It comes back with the file of before, in which it is not the last one to have served.
    two.kill(1);
    two.start(1);
    assert_eq!(two.mark(1), text("1 redis-1"));
    two.refuses(1, 3, "redis-1 does not say");
    two.refuses(1, 4, "redis-1 does not say");
    two.start(0);
    two.refuses(1, 5, "redis-1 has newer data (epoch 2 of redis-1; here 1 of redis-1)");
    // The newest that there is.
    two.promotes(0, 6);
    assert_eq!(two.asks(0, &["GET", "19"]), text("1"));
}

#[test]
fn of_two_files_of_one_epoch_that_of_the_former_primary_is_taken() {
    if !has("redis-server", "redis-server") {
        return;
    }
    let mut two = Two::new();
    two.start(0);
    two.start(1);
    two.promotes(0, 1);
    two.until_linked(1);
    two.until("its file is whole", || two.is_file_whole(1));
    // An hour alone, and then both hosts fail.
    two.kill(1);
    assert!(two.client(0).set("alone", "1").unwrap());
    two.kill(0);
    two.start(0);
    two.start(1);
    assert_eq!((two.mark(0), two.mark(1)), (text("1 redis-1"), text("1 redis-1")));
    two.refuses(1, 7, "redis-1 served last, in epoch 1, and has its data");
    two.promotes(0, 8);
    assert_eq!(two.asks(0, &["GET", "alone"]), text("1"));
}

#[test]
fn a_member_whose_link_broke_long_before_the_end_leaves_the_role_to_the_other() {
    if !has("redis-server", "redis-server") {
        return;
    }
    let mut two = Two::new();
    two.start(0);
    two.start(1);
    two.promotes(0, 1);
    two.until_linked(1);
    two.asks(1, &["CONFIG", "SET", "masterauth", "wrong"]);
    two.asks(0, &["CLIENT", "KILL", "TYPE", "replica"]);
    let down_s = |two: &Two| -> i64 {
        let told = two.client(1).replication("master_link_down_since_seconds").unwrap();
        told.and_then(|told| told.parse().ok()).unwrap_or(-1)
    };
    two.until("it is cut off for five seconds", || down_s(&two) >= 5);
    assert!(two.client(0).set("alone", "1").unwrap());
    two.kill(0);
    two.start(0);
    two.refuses(1, 2, "redis-1 served on after the link to it broke");
    // Gone for good: what is here is in step with what was a few seconds ago, which is permitted.
    two.kill(0);
    two.promotes(1, 3);
}

#[test]
fn a_mark_outlives_what_clients_may_do_and_has_room_where_memory_is_full() {
    if !has("redis-server", "redis-server") {
        return;
    }
    let mut two = Two::new();
    two.start(0);
    two.start(1);
    two.promotes(0, 1);
    two.until_linked(1);
    two.until("its file is whole", || two.is_file_whole(1));
    two.kill(1);
    assert_eq!(two.asks(0, &["FLUSHALL"]), text("OK"));
    assert!(two.client(0).set("after", "1").unwrap());
    two.kill(0);
    two.start(1);
    two.start(0);
    two.refuses(1, 4, "redis-1 served last");
    two.promotes(0, 5);
    // The other one has all of it, and no room for more.
    two.until_linked(1);
    two.until("it has the mark", || two.mark(1) == text("5 redis-1"));
    two.asks(1, &["CONFIG", "SET", "maxmemory", "1"]);
    two.kill(0);
    let full = two.run(1, "promote", 6);
    assert!(full.status.success(), "{full:?}");
    assert_eq!(two.mark(1), text("6 redis-2"));
    let Reply::Refused(why) = two.asks(1, &["SET", "more", "1"]) else { panic!("its memory is full") };
    assert!(why.contains("OOM"), "{why}");
}

#[test]
fn data_that_was_brought_along_is_not_replaced_by_nothing() {
    if !has("redis-server", "redis-server") {
        return;
    }
    let mut two = Two::new();
    // As an operator leaves a server that was a single one.
    two.start(0);
    two.asks(0, &["REPLICAOF", "NO", "ONE"]);
    assert!(two.client(0).set("brought", "1").unwrap());
    two.kill(0);
    two.start(0);
    two.start(1);
    two.refuses(1, 1, "nobody of this pair is known to have served last, and redis-1 has 1 keys");
    two.promotes(0, 2);
    two.until_linked(1);
    assert_eq!(two.asks(1, &["GET", "brought"]), text("1"));
}

#[test]
fn an_epoch_below_that_of_the_data_and_an_outdated_permission_are_refused() {
    if !has("redis-server", "redis-server") {
        return;
    }
    let mut two = Two::new();
    two.start(0);
    let first = two.refuses(0, 1, "redis-2 does not say");
    two.permits(0, &first);
    two.promotes(0, 40);
    two.kill(0);
    two.start(0);
    // It was for the data of then.
    two.permits(0, &first);
    let anew = two.refuses(0, 2, "served in epoch 40, and this is epoch 2: the cluster began anew");
    two.permits(0, &anew);
    two.promotes(0, 3);
    assert_eq!(two.mark(0), text("3 redis-1"));
    // A second time in the same role: it was started again in place.
    two.kill(0);
    two.start(0);
    two.promotes(0, 3);
}

#[test]
fn no_write_is_accepted_before_the_mark() {
    if !has("redis-server", "redis-server") {
        return;
    }
    let mut two = Two::new();
    two.start(0);
    two.start(1);
    two.promotes(0, 1);
    two.until_linked(1);
    two.kill(0);
    let member = two.address(1);
    let writer = std::thread::spawn(move || {
        let mut client = Two::client_at(member);
        while !client.set("early", "1").unwrap() {}
        client.ask(&["FCALL_RO", "understudy_served", "0"]).unwrap()
    });
    two.promotes(1, 2);
    assert_eq!(writer.join().unwrap(), text("2 redis-2"));
}
