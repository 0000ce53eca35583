//! The `scsctl` program: arguments in, exit code out. It knows nothing else; everything is in the library beside it.
//! The law: the exit code is always one of [`understudy_scsctl::Exit`].

use std::process::ExitCode;

fn main() -> ExitCode {
    understudy_scsctl::main_with(std::env::args_os()).into()
}
