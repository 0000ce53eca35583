//! Tells a command of events: one at a time, in the order in which they happened.
//!
//! It knows no events' meaning. The law: it never makes anybody wait. Its queue is bounded, the oldest notice gives way
//! and is counted, a command has its time and its output a bound, and a failure is an event that nobody is notified of.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;
use understudy_model::{Because, Event, EventKind, Rule, Severity, Subject};
use understudy_settings::NotifySettings;

use crate::command::run_command;
use crate::wall::show_unix_ms;

/// The most notices that wait.
pub const MOST_WAITING: usize = 256;
/// How long one run of the command may take.
pub const TIME_LIMIT: Duration = Duration::from_secs(30);
/// How many characters of a text are put into a variable.
const LONGEST_VARIABLE: usize = 4_096;

/// Without a command nobody is told of anything.
const NOBODY: NotifySettings = NotifySettings { on: Vec::new(), command: Vec::new() };

/// One event to tell.
#[derive(Debug, Clone)]
struct Notice {
    at_wall_ms: i64,
    event: Event,
}

#[derive(Debug, Default)]
struct Waiting {
    notices: VecDeque<Notice>,
    /// Since the last time that it was said.
    dropped: u64,
}

/// The way to the command. Clones share it.
#[derive(Debug, Clone)]
pub struct Notifier {
    settings: Arc<Mutex<Arc<NotifySettings>>>,
    waiting: Arc<Mutex<Waiting>>,
    wake: Arc<Notify>,
}

impl Notifier {
    /// Starts the thread that runs the command, of which there is none before [`Notifier::change`]; what went wrong is told
    /// through `tell`. Fails if there is no thread.
    pub fn start(limit: Duration, tell: impl Fn(Vec<Event>) + Send + 'static) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (waiting, wake) = (Arc::default(), Arc::new(Notify::new()));
        let notifier = Self { settings: Arc::new(Mutex::new(Arc::new(NOBODY))), waiting, wake };
        let worker = notifier.clone();
        let thread = std::thread::Builder::new().name("notify".to_owned());
        thread.spawn(move || runtime.block_on(worker.work(limit, tell)))?;
        Ok(notifier)
    }

    /// Tells this command from now on, also of what waits already; none: nobody is told of anything.
    pub fn change(&self, settings: Option<NotifySettings>) {
        let settings = Arc::new(settings.unwrap_or(NOBODY));
        if settings.command.is_empty() {
            self.waiting().notices.clear();
        }
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    fn settings(&self) -> Arc<NotifySettings> {
        // Only ever replaced as a whole, so a poisoned lock still guards whole settings.
        Arc::clone(&self.settings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts the events that the command is told of into the queue. Never waits.
    pub fn notice(&self, at_wall_ms: i64, events: &[Event]) {
        let settings = self.settings();
        let mut waiting = self.waiting();
        for event in events.iter().filter(|event| settings.on.contains(&event.kind)) {
            if waiting.notices.len() >= MOST_WAITING {
                waiting.notices.pop_front();
                waiting.dropped += 1;
            }
            waiting.notices.push_back(Notice { at_wall_ms, event: event.clone() });
        }
        drop(waiting);
        self.wake.notify_one();
    }

    async fn work(self, limit: Duration, tell: impl Fn(Vec<Event>)) {
        loop {
            let (next, dropped) = {
                let mut waiting = self.waiting();
                (waiting.notices.pop_front(), std::mem::take(&mut waiting.dropped))
            };
            if dropped > 0 {
                let text = format!("{dropped} event(s) were not told to the notify command: it is too slow");
                tell(vec![failed(Because::new(Rule::NotifyCommand, text), &Subject::default())]);
            }
            let Some(notice) = next else {
                self.wake.notified().await;
                continue;
            };
            if let Err((why, output)) = run(&self.settings().command, &notice, limit).await {
                let kind = notice.event.kind.as_str();
                let text = format!("the notify command was not told of {kind}: {why}");
                let because = Because::new(Rule::NotifyCommand, text)
                    .fact("event", &notice.event.because.reason)
                    .fact("last output", output);
                tell(vec![failed(because, &notice.event.about)]);
            }
        }
    }

    /// Every change is one of the queue's own, so a poisoned lock still guards a whole queue.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(because: Because, about: &Subject) -> Event {
    Event::new(EventKind::NotifyFailed, Severity::Warning, about.clone(), because)
}

/// Runs the command once. `Err`: why it did not do its work, and the last that it said.
async fn run(command: &[String], notice: &Notice, limit: Duration) -> Result<(), (String, String)> {
    if command.is_empty() {
        return Ok(());
    }
    run_command(command, environment(notice), line(notice), limit).await.map(drop)
}

/// The event as `events -o json` has it. Its number is given when it is stored, which this does not wait for.
fn line(notice: &Notice) -> String {
    let Notice { at_wall_ms, event } = notice;
    let line = json!({
        "id": null,
        "at": show_unix_ms(*at_wall_ms),
        "kind": event.kind.as_str(),
        "severity": event.severity,
        "host": event.about.host,
        "application": event.about.application,
        "pair": event.about.pair,
        "from": event.from,
        "to": event.to,
        "epoch": event.epoch,
        "rule": event.because.rule.id(),
        "says": event.because.rule.says(),
        "reason": event.because.reason,
        "because": event.because.facts,
        "nearly": event.because.nearly,
        "actor": event.actor,
    });
    format!("{line}\n")
}

fn environment(notice: &Notice) -> Vec<(&'static str, String)> {
    let Notice { at_wall_ms, event } = notice;
    // The whole is in the line; a variable has its bound.
    let text = |value: Option<&str>| -> String {
        let value = value.unwrap_or_default().chars().take(LONGEST_VARIABLE);
        value.map(|c| if c == '\0' { ' ' } else { c }).collect()
    };
    let severity = match event.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    vec![
        ("UNDERSTUDY_EVENT", event.kind.as_str().to_owned()),
        ("UNDERSTUDY_AT", show_unix_ms(*at_wall_ms)),
        ("UNDERSTUDY_SEVERITY", severity.to_owned()),
        ("UNDERSTUDY_HOST", text(event.about.host.as_ref().map(|name| name.as_str()))),
        ("UNDERSTUDY_APPLICATION", text(event.about.application.as_ref().map(|name| name.as_str()))),
        ("UNDERSTUDY_PAIR", text(event.about.pair.as_ref().map(|name| name.as_str()))),
        ("UNDERSTUDY_FROM", text(event.from.as_deref())),
        ("UNDERSTUDY_TO", text(event.to.as_deref())),
        ("UNDERSTUDY_EPOCH", event.epoch.map(|epoch| epoch.to_string()).unwrap_or_default()),
        ("UNDERSTUDY_RULE", event.because.rule.id().to_owned()),
        ("UNDERSTUDY_REASON", text(Some(&event.because.reason))),
        ("UNDERSTUDY_ACTOR", text(event.actor.as_deref())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::sync::mpsc;
    use std::time::Instant;

    fn event(kind: EventKind, reason: &str) -> Event {
        let about = Subject { pair: Some("tserver".parse().unwrap()), ..Subject::default() };
        let because = Because::new(Rule::SoleActing, reason);
        Event::new(kind, Severity::Info, about, because)
    }

    fn changed(reason: &str) -> Event {
        event(EventKind::RoleChanged, reason)
    }

    fn start(script: &str, limit: Duration) -> (Notifier, mpsc::Receiver<Event>) {
        let command = vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()];
        let settings = NotifySettings { on: vec![EventKind::RoleChanged], command };
        let (told, failures) = mpsc::channel();
        let tell = move |events: Vec<Event>| events.into_iter().for_each(|event| told.send(event).unwrap());
        let notifier = Notifier::start(limit, tell).unwrap();
        notifier.change(Some(settings));
        (notifier, failures)
    }

    fn until(what: &str, so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !so() {
            assert!(Instant::now() < deadline, "not in time: {what}");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    fn lines(path: &Path) -> Vec<String> {
        std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    #[test]
    fn matching_events_are_told_in_order_as_a_line_and_in_the_environment() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("told");
        let script =
            format!("read line; echo \"$UNDERSTUDY_EVENT $UNDERSTUDY_PAIR $line\" >> {}", file.display());
        let (notifier, failures) = start(&script, TIME_LIMIT);
        let events: Vec<Event> = (0..20).map(|number| changed(&format!("number {number}."))).collect();
        notifier.notice(0, &events);
        notifier.notice(0, &[event(EventKind::HostLost, "not asked for")]);
        until("all are told", || lines(&file).len() == 20);
        for (number, line) in lines(&file).iter().enumerate() {
            let (words, json) = line.split_at(line.find('{').unwrap());
            assert_eq!(words, "role-changed tserver ");
            let told: serde_json::Value = serde_json::from_str(json).unwrap();
            assert_eq!(told["reason"], format!("number {number}."));
        }
        assert!(failures.try_recv().is_err());
    }

    #[test]
    fn a_command_that_fails_hangs_or_floods_is_an_event_and_the_next_one_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("told");
        let script = format!(
            "case $UNDERSTUDY_REASON in fails) echo broken >&2; exit 3;; hangs) sleep 600 & wait;; \
             floods) head -c 3000000 /dev/zero | tr '\\0' x; echo the end;; esac; echo $UNDERSTUDY_REASON >> {}",
            file.display()
        );
        let (notifier, failures) = start(&script, Duration::from_secs(2));
        notifier.notice(0, &[changed("fails"), changed("hangs"), changed("floods"), changed("last")]);
        let first = failures.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!((first.kind, first.because.rule), (EventKind::NotifyFailed, Rule::NotifyCommand));
        let text = format!("{:?}", first.because);
        assert!(text.contains("exit status: 3") && text.contains("broken"), "{text}");
        let second = failures.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(second.because.reason.contains("longer than 2s and was killed"), "{second:?}");
        until("the others are told", || lines(&file) == ["floods", "last"]);
        assert!(failures.try_recv().is_err());
    }

    #[test]
    fn another_command_is_told_from_its_change_on_and_without_one_nobody_is() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("told");
        let script = |who: &str| {
            let text = format!("echo \"{who} $UNDERSTUDY_REASON\" >> {}", file.display());
            vec!["/bin/sh".to_owned(), "-c".to_owned(), text]
        };
        let settings = |command| Some(NotifySettings { on: vec![EventKind::RoleChanged], command });
        let notifier = Notifier::start(TIME_LIMIT, |_| ()).unwrap();
        notifier.notice(0, &[changed("before any")]);
        notifier.change(settings(script("first")));
        notifier.notice(0, &[changed("one")]);
        until("the first is told", || lines(&file).len() == 1);
        notifier.change(None);
        notifier.notice(0, &[changed("nobody")]);
        notifier.change(settings(script("second")));
        notifier.notice(0, &[changed("two")]);
        until("the second is told", || lines(&file).len() == 2);
        assert_eq!(lines(&file), ["first one", "second two"]);
    }

    #[test]
    fn a_command_that_cannot_be_started_is_an_event() {
        let settings =
            NotifySettings { on: vec![EventKind::RoleChanged], command: vec!["/no/such/program".to_owned()] };
        let (told, failures) = mpsc::channel();
        let tell = move |events: Vec<Event>| events.into_iter().for_each(|event| told.send(event).unwrap());
        let notifier = Notifier::start(TIME_LIMIT, tell).unwrap();
        notifier.change(Some(settings));
        notifier.notice(0, &[changed("x")]);
        let failure = failures.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(failure.because.reason.contains("/no/such/program cannot be started"), "{failure:?}");
    }

    #[test]
    fn a_queue_that_is_full_drops_the_oldest_and_says_how_many() {
        let directory = tempfile::tempdir().unwrap();
        let (file, gate) = (directory.path().join("told"), directory.path().join("gate"));
        let script = format!(
            "while ! test -e {}; do sleep 0.05; done; echo $UNDERSTUDY_REASON >> {}",
            gate.display(),
            file.display()
        );
        let (notifier, failures) = start(&script, TIME_LIMIT);
        notifier.notice(0, &[changed("first")]);
        until("the first is being told", || notifier.waiting().notices.is_empty());
        let events: Vec<Event> = (0..MOST_WAITING + 3).map(|number| changed(&number.to_string())).collect();
        notifier.notice(0, &events);
        std::fs::write(&gate, "").unwrap();
        let dropped = failures.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(dropped.because.reason.starts_with("3 event(s) were not told"), "{dropped:?}");
        until("the rest is told", || lines(&file).len() == MOST_WAITING + 1);
        assert_eq!(lines(&file)[..2], ["first".to_owned(), "3".to_owned()]);
    }
}
