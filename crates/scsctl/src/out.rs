//! Where the text goes: the output and error streams, colours only for people at a terminal.
//!
//! It knows nothing of what is printed. The law: a reader who has gone away is no error and no panic.

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};

use crate::Failure;
use crate::exit::Exit;

/// How a piece of text is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// A heading.
    Heading,
    /// As it should be.
    Good,
    /// Somebody should look.
    Warn,
    /// Wrong.
    Bad,
    /// Less important.
    Faint,
}

/// Paints text, or leaves it as it is.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Never paints.
    #[cfg(test)]
    pub const OFF: Paint = Paint { on: false };

    /// The text in that tone.
    pub fn tone(self, tone: Tone, text: &str) -> String {
        let style = match tone {
            _ if !self.on => return text.to_owned(),
            Tone::Plain => return text.to_owned(),
            Tone::Heading => Style::new().bold(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Warn => AnsiColor::Yellow.on_default(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
            Tone::Faint => Style::new().dimmed(),
        };
        format!("{style}{text}{style:#}")
    }
}

/// The streams of this program.
#[derive(Debug)]
pub struct Out {
    paint: Paint,
    error_paint: Paint,
    terminal: bool,
}

/// The output stream can take no more.
#[derive(Debug)]
pub enum Gone {
    /// The reader closed it: it has seen what it wanted.
    Reader,
    /// The system refused the bytes.
    Failed(std::io::Error),
}

impl From<Gone> for Failure {
    fn from(gone: Gone) -> Failure {
        match gone {
            // Turned into success where the command ends; see `run`.
            Gone::Reader => Failure::new(Exit::Done, String::new()),
            Gone::Failed(error) => {
                Failure::new(Exit::Failed, format!("the output could not be written: {error}"))
            }
        }
    }
}

impl Out {
    /// The real streams. Colours are off with `no_color`, with `NO_COLOR` set, and where nobody watches.
    pub fn new(no_color: bool) -> Self {
        let wanted = !no_color && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let terminal = std::io::stdout().is_terminal();
        Self {
            paint: Paint { on: wanted && terminal },
            error_paint: Paint { on: wanted && std::io::stderr().is_terminal() },
            terminal,
        }
    }

    /// The paint of the output stream.
    pub fn paint(&self) -> Paint {
        self.paint
    }

    /// Prints text as it is and flushes, so that a follower sees it at once.
    pub fn print(&mut self, text: &str) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        written.map_err(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => Gone::Reader.into(),
            _ => Gone::Failed(error).into(),
        })
    }

    /// Whether a terminal shows it.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Says something beside the output, on the error stream.
    pub fn remark(&self, text: &str) {
        // If nobody reads the error stream there is nobody to tell.
        let _ = writeln!(std::io::stderr().lock(), "{}", self.error_paint.tone(Tone::Faint, text));
    }

    /// Prints one line.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.print(&format!("{text}\n"))
    }

    /// Empties the screen before it is drawn again, if there is a screen.
    pub fn clear(&mut self) -> Result<(), Failure> {
        if self.terminal { self.print("\x1b[H\x1b[2J") } else { Ok(()) }
    }

    /// Says something beside the output, for people.
    pub fn note(&mut self, text: &str) {
        // As in `error`.
        let _ = writeln!(std::io::stderr().lock(), "{}", self.error_paint.tone(Tone::Faint, text));
    }

    /// Says on the error stream what went wrong. Nothing is said of a reader who has gone.
    pub fn error(&mut self, failure: &Failure) {
        if failure.exit() == Exit::Done {
            return;
        }
        let label = self.error_paint.tone(Tone::Bad, "scsctl:");
        // If nobody reads the error stream there is nobody to tell; the exit code still tells.
        let _ = writeln!(std::io::stderr().lock(), "{label} {failure}");
    }
}
