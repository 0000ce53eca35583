//! Runs a command of the settings: with a bound on its time, on its output, and on what it leaves behind.
//!
//! Knows not what for. The law: whatever it started ends with it, and with this program; only exit code 0 in time is a success,
//! whoever holds its output open.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use understudy_drive::secrets::Secrets;

/// How much of what a run says is kept, in bytes.
const MOST_OUTPUT_BYTES: usize = 2_048;
/// How long the output of a command is read after it has ended: others may hold it open.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Where the command's own commands are found.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs a command once, as the head of its own process group, with `line` on its input. The last that it said, if it ended with
/// success; if not, why, and the same. What its arguments call a secret is masked in what it said.
pub(crate) async fn run_command(
    command: &[String],
    environment: Vec<(&'static str, String)>,
    line: String,
    limit: Duration,
) -> Result<String, (String, String)> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(("there is no command".to_owned(), String::new()));
    };
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .envs(environment)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| (format!("{program} cannot be started: {error}"), String::new()))?;
    // Dropped before the child, whose number is the group's: also if nobody waits any more, as this program is ending.
    let group = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    let group = group.map(|group| Group { group, program });
    let mut output = Vec::new();
    let ended = attend(&mut child, line, &mut output, limit).await;
    drop(group);
    let said = told(&output, &Secrets::of_command(arguments));
    match ended {
        None => Err((format!("it took longer than {limit:?} and was killed"), said)),
        Some(Err(error)) => Err((format!("it was lost: {error}"), said)),
        Some(Ok(status)) if status.success() => Ok(said),
        Some(Ok(status)) => Err((format!("it ended with {status}"), said)),
    }
}

/// What it said last, without secrets.
fn told(output: &[u8], secrets: &Secrets) -> String {
    let cut = output.len().saturating_sub(MOST_OUTPUT_BYTES);
    let text = String::from_utf8_lossy(&output[cut..]);
    let text =
        if cut > 0 { secrets.mask_rest(text.trim_start_matches('\u{fffd}')) } else { secrets.mask(&text) };
    text.trim().to_owned()
}

/// What a command and everything that it started are: ended when this is dropped.
struct Group<'a> {
    group: Pid,
    program: &'a str,
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        if let Err(error) = kill_process_group(self.group, Signal::KILL)
            && error != rustix::io::Errno::SRCH
        {
            tracing::warn!(program = self.program, %error, "what a command left behind could not be ended");
        }
    }
}

/// Hands the line over, reads what is said, and waits for the end, all at once: none of them may block another. Nothing if it
/// has not ended within `limit`.
async fn attend(
    child: &mut Child,
    line: String,
    output: &mut Vec<u8>,
    limit: Duration,
) -> Option<std::io::Result<ExitStatus>> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let hand_over = async move {
        if let Some(mut stdin) = stdin {
            // A command that does not read its input has its environment.
            let _ = stdin.write_all(line.as_bytes()).await;
        }
    };
    let (mut heard, mut complained) = (Vec::new(), Vec::new());
    let ended = {
        let listening = async {
            tokio::join!(hand_over, keep_last(stdout, &mut heard), keep_last(stderr, &mut complained));
        };
        tokio::pin!(listening);
        let mut heard_all = false;
        let end = async {
            tokio::select! {
                status = child.wait() => status,
                () = &mut listening => {
                    heard_all = true;
                    child.wait().await
                }
            }
        };
        let ended = tokio::time::timeout(limit, end).await.ok();
        if ended.is_some() && !heard_all {
            // What follows is a bonus with a bound of its own, and changes nothing: another process may hold the output open.
            let _ = tokio::time::timeout(LAST_WORDS, &mut listening).await;
        }
        ended
    };
    output.extend_from_slice(if complained.is_empty() { &heard } else { &complained });
    ended
}

/// Reads to the end and keeps the last bytes.
async fn keep_last(source: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut source) = source else { return };
    let mut piece = [0; 1_024];
    while let Ok(read) = source.read(&mut piece).await {
        if read == 0 {
            return;
        }
        kept.extend_from_slice(&piece[..read]);
        // One byte more says that something was cut off.
        let over = kept.len().saturating_sub(MOST_OUTPUT_BYTES + 1);
        kept.drain(..over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::path::Path;
    use std::sync::mpsc;

    /// Longer than anything here takes, even on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn shell(script: &str) -> Vec<String> {
        vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()]
    }

    async fn run(script: &str, limit: Duration) -> Result<String, (String, String)> {
        run_command(&shell(script), Vec::new(), String::new(), limit).await
    }

    /// Says `began` when somebody has the pipe open to write, and `ended` when nobody has any more.
    fn watch(pipe: &Path) -> mpsc::Receiver<&'static str> {
        assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
        let (says, heard) = mpsc::channel();
        let pipe = pipe.to_owned();
        std::thread::spawn(move || {
            let mut writers = std::fs::File::open(pipe).unwrap();
            says.send("began").unwrap();
            writers.read_to_end(&mut Vec::new()).unwrap();
            says.send("ended").unwrap();
        });
        heard
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_a_command_started_ends_when_nobody_waits_for_it_any_more() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        let heard = watch(&pipe);
        let script = format!("sleep 1000 > {} & wait", pipe.display());
        let running = tokio::spawn(async move { run(&script, PATIENCE * 2).await });
        assert_eq!(heard.recv_timeout(PATIENCE), Ok("began"));
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        assert_eq!(heard.recv_timeout(PATIENCE), Ok("ended"));
    }

    #[tokio::test]
    async fn who_holds_the_output_open_does_not_make_a_success_a_failure() {
        // The limit ends while the last words are awaited.
        let limit = LAST_WORDS - Duration::from_millis(10);
        let mut ended = Err((String::new(), String::new()));
        for _ in 0..100 {
            ended = run("echo done; sleep 1000 & exit 0", limit).await;
            if ended.is_ok() {
                break;
            }
            // On a machine that is busy for so long, even this command may take too long.
        }
        assert_eq!(ended, Ok("done".to_owned()));
    }

    #[tokio::test]
    async fn what_a_command_says_is_told_without_its_secrets_wherever_it_is_cut() {
        let with_password = |script: &str| {
            let command = ["/bin/sh", "-c", script, "fence", "--password", "hunter2"];
            command.map(str::to_owned)
        };
        let run = async |script: &str| {
            run_command(&with_password(script), Vec::new(), String::new(), PATIENCE).await
        };
        assert_eq!(run("echo tried $2").await, Ok("tried ***".to_owned()));
        let (_, said) = run("echo wrong password $2 >&2; exit 1").await.unwrap_err();
        assert_eq!(said, "wrong password ***");
        for length in 2_030..2_060 {
            let said =
                run(&format!("printf '%s ' $2; head -c {length} /dev/zero | tr '\\0' x")).await.unwrap();
            let rest = said.trim_end_matches('x');
            assert!(["", "***"].contains(&rest.trim()), "{length}: {rest:?}");
        }
    }

    #[tokio::test]
    async fn only_success_in_time_counts_and_what_was_said_is_told() {
        assert_eq!(run("cat", PATIENCE).await, Ok(String::new()));
        let (why, said) = run("echo half; echo no >&2; exit 3", PATIENCE).await.unwrap_err();
        assert!(why.contains("exit status: 3") && said == "no", "{why} {said}");
        let (why, _) = run("sleep 1000", Duration::from_millis(50)).await.unwrap_err();
        assert!(why.contains("took longer than 50ms"), "{why}");
    }
}
