//! Every key of every settings file, with its type, its default and what it is for.
//!
//! Knows no values and no rules. The law: a key exists here or nowhere; the checks, the nearest-key advice and the
//! reference all read these tables.

pub(crate) mod application;
pub(crate) mod cluster;
pub(crate) mod daemons;

/// The keys of one table, in groups that several tables share.
pub(crate) type Keys = &'static [&'static [Key]];

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    /// As it stands in the file.
    pub(crate) name: &'static str,
    /// What its value looks like.
    pub(crate) shape: Shape,
    /// Whether this version takes it.
    pub(crate) since: Since,
    /// What holds when it is absent; empty if that says nothing.
    pub(crate) default: &'static str,
    /// What it is for, in a sentence.
    pub(crate) says: &'static str,
}

/// What a value looks like.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// A text.
    Text,
    /// An integer.
    Integer,
    /// A number of bytes, or a text such as "64M".
    Size,
    /// A number, or a text for what is beyond numbers.
    Limit,
    /// True or false.
    Boolean,
    /// A duration.
    Duration,
    /// One of these words.
    Word(fn() -> Vec<&'static str>),
    /// A list of texts.
    Texts,
    /// A list of integers.
    Integers,
    /// One table with these keys.
    Table(Keys),
    /// Repeated tables with these keys.
    Tables(Keys),
    /// Tables with names of the operator's choice, each with these keys.
    Named(Keys),
    /// A table with keys of the operator's choice.
    Free(&'static str),
}

/// Whether this version takes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// It does.
    Now,
    /// It does not; what to do instead.
    Later(&'static str),
}

/// A key of this version.
const fn now(name: &'static str, shape: Shape, default: &'static str, says: &'static str) -> Key {
    Key { name, shape, since: Since::Now, default, says }
}

/// A key of a later version.
const fn later(name: &'static str, shape: Shape, says: &'static str, advice: &'static str) -> Key {
    Key { name, shape, since: Since::Later(advice), default: "", says }
}
