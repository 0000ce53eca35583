//! Tables of small machines: a total function on two small enums, walked to be read by people.
//!
//! The compiler checks that every pair is written; `docs/reference/` shows what is written.

use std::fmt::Debug;

/// A state or a trigger of a table: a small enum that can be walked and has a sentence for each value.
pub trait Axis: Copy + Debug + PartialEq + 'static {
    /// Every value, in the order of the reference.
    const ALL: &'static [Self];
    /// What the value means, in a few words.
    fn says(self) -> &'static str;
}

/// The whole table as Markdown: one row a trigger, one column a state.
pub fn markdown<S: Axis, T: Axis, M: Debug>(next: impl Fn(S, T) -> M) -> String {
    let mut text = String::new();
    text.push_str("States:\n\n");
    for state in S::ALL {
        text.push_str(&format!("- **{state:?}**: {}\n", state.says()));
    }
    text.push_str("\nTriggers:\n\n");
    for trigger in T::ALL {
        text.push_str(&format!("- **{trigger:?}**: {}\n", trigger.says()));
    }
    text.push_str("\n| on \\ in |");
    for state in S::ALL {
        text.push_str(&format!(" {state:?} |"));
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(S::ALL.len()));
    text.push('\n');
    for trigger in T::ALL {
        text.push_str(&format!("| **{trigger:?}** |"));
        for state in S::ALL {
            text.push_str(&format!(" {:?} |", next(*state, *trigger)));
        }
        text.push('\n');
    }
    text
}

/// Makes an enum that is an [`Axis`]: each value with its sentence.
macro_rules! axis {
    ($(#[$doc:meta])* $vis:vis enum $name:ident { $($value:ident => $says:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        $vis enum $name { $(#[doc = $says] $value),+ }
        impl $crate::table::Axis for $name {
            const ALL: &'static [Self] = &[$($name::$value),+];
            fn says(self) -> &'static str {
                match self { $($name::$value => $says),+ }
            }
        }
    };
}
pub(crate) use axis;
