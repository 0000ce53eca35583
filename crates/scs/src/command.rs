//! Runs a command of the settings: with a bound on its time, on its output, and on what it leaves behind.
//!
//! Knows not what for. The law: whatever it started ends with it, and only exit code 0 in time is a success.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

/// How much of what a run says is kept, in bytes.
const MOST_OUTPUT_BYTES: usize = 2_048;
/// How long the output of a command is read after it has ended: others may hold it open.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Where the command's own commands are found.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs a command once, as the head of its own process group, with `line` on its input. The last that it said, if it ended with
/// success; if not, why, and the same.
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
    let group = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    let mut output = Vec::new();
    let ended = tokio::time::timeout(limit, attend(&mut child, line, &mut output)).await;
    // Whatever it started and left behind ends with it.
    if let Some(Err(error)) = group.map(|group| kill_process_group(group, Signal::KILL))
        && error != rustix::io::Errno::SRCH
    {
        tracing::warn!(program, %error, "what a command left behind could not be ended");
    }
    let said = String::from_utf8_lossy(&output).trim().to_owned();
    match ended {
        Err(_) => Err((format!("it took longer than {limit:?} and was killed"), said)),
        Ok(Err(error)) => Err((format!("it was lost: {error}"), said)),
        Ok(Ok(status)) if status.success() => Ok(said),
        Ok(Ok(status)) => Err((format!("it ended with {status}"), said)),
    }
}

/// Hands the line over, reads what is said, and waits for the end, all at once: none of them may block another.
async fn attend(child: &mut Child, line: String, output: &mut Vec<u8>) -> std::io::Result<ExitStatus> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let hand_over = async move {
        if let Some(mut stdin) = stdin {
            // A command that does not read its input has its environment.
            let _ = stdin.write_all(line.as_bytes()).await;
        }
    };
    let (mut heard, mut complained) = (Vec::new(), Vec::new());
    let status = {
        let listening = async {
            tokio::join!(hand_over, keep_last(stdout, &mut heard), keep_last(stderr, &mut complained));
        };
        tokio::pin!(listening);
        tokio::select! {
            status = child.wait() => {
                // What follows is a bonus, and bounded: another process may hold the output open.
                let _ = tokio::time::timeout(LAST_WORDS, &mut listening).await;
                status?
            }
            () = &mut listening => child.wait().await?,
        }
    };
    output.extend_from_slice(if complained.is_empty() { &heard } else { &complained });
    Ok(status)
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
        let over = kept.len().saturating_sub(MOST_OUTPUT_BYTES);
        kept.drain(..over);
    }
}
