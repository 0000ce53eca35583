//! The model's closed lists of words, as numbers.
//!
//! Knows nothing of what a word means. The law: 0 is "not said" and always refused; a number keeps its word for ever,
//! and a number that has no word here is an error, never a guess.

use understudy_model as model;

use crate::error::MessageError;

macro_rules! numbered_words {
    ($name:ident { $($word:ident = $number:literal),+ $(,)? }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
        #[repr(i32)]
        pub(crate) enum $name {
            Unspecified = 0,
            $($word = $number),+
        }

        impl $name {
            /// The number of the word.
            pub(super) fn write(word: model::$name) -> i32 {
                match word { $(model::$name::$word => $number),+ }
            }

            /// The word with that number.
            pub(super) fn read(number: i32, field: &'static str) -> Result<model::$name, MessageError> {
                match number {
                    0 => Err(MessageError::Missing { field }),
                    $($number => Ok(model::$name::$word),)+
                    _ => Err(MessageError::UnknownNumber { field, number }),
                }
            }
        }
    };
}

numbered_words!(ApplicationStatus {
    Unknown = 1,
    Stopped = 2,
    StartPending = 3,
    Initializing = 4,
    Started = 5,
    ServiceUnavailable = 6,
    Suspending = 7,
    Suspended = 8,
    StopPending = 9,
});

numbered_words!(Goal { Started = 1, Stopped = 2 });

numbered_words!(RunMode { Unknown = 1, Primary = 2, Backup = 3, Exiting = 4 });

numbered_words!(InSyncWish { LeaveOut = 1, CaughtUp = 2 });

numbered_words!(Interface { Library = 1, Plain = 2, Notify = 3 });

numbered_words!(ListeningMode { Unsecured = 1, Secured = 2 });

numbered_words!(RestartPolicy { Always = 1, OnFailure = 2, Never = 3 });

numbered_words!(Signal { Hup = 1, Int = 2, Quit = 3, Kill = 9, Usr1 = 10, Usr2 = 12, Term = 15 });

numbered_words!(OutputKind { Journal = 1, File = 2 });

numbered_words!(AddpTrace { Off = 1, Local = 2, Remote = 3, Both = 4 });

numbered_words!(WhichClock { Own = 1, Other = 2 });

numbered_words!(Lapse { AtOnce = 1, BitByBit = 2 });
