//! What a service manager hears: ready after the first step, signs of life while the machine steps, and none when it is stuck.

use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use understudy_drive::{Hands, Inbox, Persisting, State, Stop, Told, Unit, run};
use understudy_model::{Decision, Machine, Moment};

/// Wants everything stored that it sees.
struct Keeps;

impl Machine for Keeps {
    type Saw = u32;
    type Persist = u32;
    type Act = ();

    fn step(&mut self, _: Moment, saw: u32) -> Decision<u32, ()> {
        Decision { persist: vec![saw], ..Decision::default() }
    }

    fn next_deadline(&self) -> Option<Moment> {
        None
    }

    fn deadline_passed() -> u32 {
        0
    }

    fn store_failed(_: Vec<u32>, _: String, _: bool) -> u32 {
        0
    }
}

/// A disk that takes as many records as it has permits.
struct Disk(Arc<Semaphore>);

impl Hands<Keeps> for Disk {
    fn record(&mut self, _: Moment, _: &u32, _: &Decision<u32, ()>) {}

    fn persist(&mut self, _: Moment, _: &u32, _: &Decision<u32, ()>) -> Persisting {
        let permits = Arc::clone(&self.0);
        Box::pin(async move {
            permits.acquire().await.unwrap().forget();
            Ok(())
        })
    }

    fn act(&mut self, (): ()) {}

    fn tell(&mut self, _: &Keeps, _: Told) {}
}

const WATCHDOG: Duration = Duration::from_millis(40);

/// What is heard until a condition holds; fails after ten seconds.
fn hear(socket: &UnixDatagram, mut enough: impl FnMut(&[String]) -> bool) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut heard = Vec::new();
    let mut bytes = [0; 512];
    while !enough(&heard) {
        assert!(Instant::now() < deadline, "{heard:?}");
        if let Ok(length) = socket.recv(&mut bytes) {
            heard.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
        }
    }
    heard
}

#[test]
fn a_machine_that_waits_for_its_disk_lives_and_one_that_is_stuck_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    let disk = Arc::new(Semaphore::new(0));
    let (stop, permits) = (Stop::default(), Arc::clone(&disk));
    let (ends, (inbox, mail)) = (stop.clone(), Inbox::<Keeps>::new(8));
    let (unit, asks) = (Unit::at(path.as_os_str(), Some(WATCHDOG)).unwrap(), inbox.clone());
    let life = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::spawn(unit.clone().attend(inbox, |_| "well".to_owned()));
            run(Keeps, 1, mail, &mut Disk(permits), &stop).await;
            unit.tell(State::Stopping);
        });
    });
    let is = |word: &'static str| move |heard: &[String]| heard.iter().any(|said| said == word);
    // The first step waits for the disk: it is not ready before that.
    let until = Instant::now() + WATCHDOG * 5;
    assert_eq!(hear(&socket, |_| Instant::now() >= until), [] as [&str; 0]);
    disk.add_permits(1);
    hear(&socket, is("READY=1"));
    let fed = |heard: &[String]| heard.iter().filter(|said| *said == "WATCHDOG=1").count() >= 4;
    let heard = hear(&socket, fed);
    assert!(heard.iter().all(|said| said == "WATCHDOG=1"), "the status has not changed: {heard:?}");
    // Its disk hangs: it goes on with what needs none.
    asks.saw_blocking(2);
    let heard = hear(&socket, |heard| fed(heard) && is("STATUS=waits for a disk")(heard));
    assert!(heard.iter().all(|said| said == "WATCHDOG=1" || said == "STATUS=waits for a disk"), "{heard:?}");
    disk.add_permits(1);
    hear(&socket, is("STATUS=well"));
    // It takes no mail: nobody says that it lives.
    let (goes_on, waits) = std::sync::mpsc::channel::<()>();
    let stuck = asks.clone();
    let looker = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(stuck.look(move |_| waits.recv().is_ok()))
    });
    let until = Instant::now() + WATCHDOG * 10;
    let heard = hear(&socket, |_| Instant::now() >= until);
    assert!(heard.len() <= 1, "at most one was under way: {heard:?}");
    goes_on.send(()).unwrap();
    assert_eq!(looker.join().unwrap(), Some(true));
    hear(&socket, fed);
    ends.ask();
    hear(&socket, is("STOPPING=1"));
    life.join().unwrap();
}

#[test]
fn without_a_service_manager_nothing_is_said_and_nonsense_is_named() {
    Unit::default().tell(State::Ready);
    let error = Unit::at("somewhere".as_ref(), None).unwrap_err().to_string();
    assert!(error.contains("somewhere") && error.contains("absolute path"), "{error}");
}
