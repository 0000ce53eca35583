//! Datagrams of the notify interface, as daemons of systemd send them: `NAME=VALUE`, one a line.
//!
//! Knows no sockets and trusts nobody. The law: any bytes at all give a notice, bounded and without control characters;
//! what is not understood is left out, as newer programs say things that older supervisors do not know.

use std::time::Duration;

use understudy_model::notice::{Notice, Watchdog};

/// The longest datagram that is read, in bytes; a longer one is not heard at all.
pub const LONGEST_NOTICE_BYTES: usize = 4096;
/// The most lines that are looked at.
const MOST_LINES: usize = 64;
/// The longest text that is kept, in characters.
const LONGEST_TEXT: usize = 200;

/// Reads one datagram. Of a word said twice, the last one counts.
pub fn read_notice(datagram: &[u8]) -> Notice {
    let mut notice = Notice::default();
    if datagram.len() > LONGEST_NOTICE_BYTES {
        return notice;
    }
    for line in datagram.split(|byte| *byte == b'\n').take(MOST_LINES) {
        let Some(equals) = line.iter().position(|byte| *byte == b'=') else { continue };
        let (name, value) = (&line[..equals], &line[equals + 1..]);
        match name {
            b"READY" => notice.ready |= value == b"1",
            b"RELOADING" => notice.reloading |= value == b"1",
            b"STOPPING" => notice.stopping |= value == b"1",
            b"STATUS" => notice.status = Some(text(value)),
            b"WATCHDOG" => {
                notice.watchdog = match value {
                    b"1" => Some(Watchdog::Alive),
                    b"trigger" => Some(Watchdog::Broken),
                    _ => notice.watchdog,
                }
            }
            b"WATCHDOG_USEC" => notice.watchdog_every = microseconds(value).or(notice.watchdog_every),
            b"EXTEND_TIMEOUT_USEC" => notice.extend_by = microseconds(value).or(notice.extend_by),
            b"MAINPID" => {
                // 0 and 1 are nobody's main process; the kernel has no number above this.
                let pid = number(value).and_then(|pid| u32::try_from(pid).ok());
                notice.main_pid = pid.filter(|pid| (2..=1 << 22).contains(pid)).or(notice.main_pid);
            }
            b"ERRNO" | b"EXIT_STATUS" => {
                notice.result = Some(text(line));
            }
            // MONOTONIC_USEC, FDSTORE, BARRIER, ... ask for nothing that is done here.
            _ => {}
        }
    }
    notice
}

fn text(value: &[u8]) -> String {
    let value = String::from_utf8_lossy(value);
    value.chars().filter(|one| !one.is_control()).take(LONGEST_TEXT).collect::<String>().trim().to_owned()
}

/// Digits only: no sign, no space.
fn number(value: &[u8]) -> Option<u64> {
    let digits =
        std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

fn microseconds(value: &[u8]) -> Option<Duration> {
    number(value).filter(|number| *number > 0).map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_daemons_say_is_read() {
        let notice = read_notice(b"READY=1\nSTATUS=serving 3 of 4\nMAINPID=4711\nWATCHDOG=1\n");
        let expected = Notice {
            ready: true,
            status: Some("serving 3 of 4".to_owned()),
            main_pid: Some(4711),
            watchdog: Some(Watchdog::Alive),
            ..Notice::default()
        };
        assert_eq!(notice, expected);
        assert!(read_notice(b"RELOADING=1\nMONOTONIC_USEC=77").reloading);
        assert!(read_notice(b"STOPPING=1").stopping);
        assert_eq!(read_notice(b"WATCHDOG=trigger").watchdog, Some(Watchdog::Broken));
        assert_eq!(read_notice(b"WATCHDOG_USEC=500000").watchdog_every, Some(Duration::from_millis(500)));
        assert_eq!(read_notice(b"EXTEND_TIMEOUT_USEC=1000").extend_by, Some(Duration::from_millis(1)));
        assert_eq!(read_notice(b"ERRNO=2").result.as_deref(), Some("ERRNO=2"));
        assert!(read_notice(b"WATCHDOG=1").is_heartbeat() && !notice.is_heartbeat());
    }

    #[test]
    fn what_makes_no_sense_is_not_there() {
        for nothing in [
            &b""[..],
            b"READY",
            b"READY=0",
            b"ready=1",
            b" READY=1",
            b"MAINPID=0",
            b"MAINPID=1",
            b"MAINPID=-5",
            b"MAINPID=99999999999999999999",
            b"WATCHDOG=2",
            b"WATCHDOG_USEC=0",
            b"EXTEND_TIMEOUT_USEC=+1",
            b"FDSTORE=1\nFDNAME=x",
            b"BARRIER=1",
            b"\0\xff=\n==",
            b"MAINPID=\xf0\x9f\x92\xa9",
        ] {
            assert!(read_notice(nothing).is_empty(), "{nothing:?}");
        }
        assert!(read_notice(&[b"READY=1\n".as_slice(), &[b'x'; LONGEST_NOTICE_BYTES]].concat()).is_empty());
        assert_eq!(read_notice(b"STATUS=\x1b[31mred\x07 \xff").status.as_deref(), Some("[31mred \u{fffd}"));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_bounded_notice(bytes in proptest::collection::vec(any::<u8>(), 0..6000)) {
            let notice = read_notice(&bytes);
            for text in [notice.status, notice.result].into_iter().flatten() {
                prop_assert!(text.chars().count() <= LONGEST_TEXT && !text.chars().any(char::is_control));
            }
        }

        #[test]
        fn known_words_with_any_values(lines in proptest::collection::vec(
            (proptest::sample::select(vec!["READY", "MAINPID", "WATCHDOG_USEC", "STATUS", "EXTEND_TIMEOUT_USEC", "ERRNO"]),
             ".{0,40}"), 0..100)) {
            let text: String = lines.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
            let notice = read_notice(text.as_bytes());
            prop_assert!(notice.main_pid.is_none_or(|pid| pid > 1));
            prop_assert!(notice.watchdog_every.is_none_or(|every| !every.is_zero()));
        }
    }
}
