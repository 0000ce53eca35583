//! What can be done wrong around an agent that is explored.
//!
//! The law: each is what a program around the machine could do, and the laws object to each.

/// What is done wrong around the agent: the laws must object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each has its sentence below
pub enum Lie {
    StoredIsLost,
    StaysShown,
    SameLife,
    YesterdaysPage,
    PagesMixedUp,
}

impl Lie {
    /// Every one.
    pub const ALL: [Lie; 5] =
        [Lie::StoredIsLost, Lie::StaysShown, Lie::SameLife, Lie::YesterdaysPage, Lie::PagesMixedUp];

    /// The rule and what is done instead.
    pub fn says(self) -> (&'static str, &'static str) {
        match self {
            Lie::StoredIsLost => {
                ("S3", "what the agent wants kept is not, and its decision is carried out all the same")
            }
            Lie::StaysShown => ("G5", "a page that shall say no goes on saying primary"),
            Lie::SameLife => {
                ("G3", "the next life of the agent has the same incarnation, and numbers its requests anew")
            }
            Lie::YesterdaysPage => {
                ("G7", "an agent that starts finds a page that is valid for a whole lease")
            }
            Lie::PagesMixedUp => {
                ("G12", "both members on one host, and what one page is told is written on the other")
            }
        }
    }
}
