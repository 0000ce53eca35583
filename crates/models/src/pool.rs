//! Parts of states, each kept once and known by a number.
//!
//! A state is a few parts, and millions of states are made of thousands of parts. Refuses to know what a part is. The law:
//! of parts that count as the same the first one stays.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash};
use std::rc::Rc;

use crate::fingerprint::Quick;

/// The number of a part in its pool.
pub type Number = u32;

/// What is kept of a part.
pub struct Kept<T, L, K> {
    /// The part.
    pub part: Rc<T>,
    /// What has to be known of it in each state.
    pub look: L,
    /// What makes it the same as another.
    pub likeness: K,
}

/// All parts of one kind.
pub struct Pool<T, L, K> {
    kept: Vec<Kept<T, L, K>>,
    numbers: HashMap<K, Number, BuildHasherDefault<Quick>>,
}

impl<T, L, K: Hash + Eq + Copy> Default for Pool<T, L, K> {
    fn default() -> Self {
        Self { kept: Vec::new(), numbers: HashMap::default() }
    }
}

impl<T, L, K: Hash + Eq + Copy> Pool<T, L, K> {
    /// The number of `part`, which is kept if none like it is.
    pub fn number(&mut self, part: Rc<T>, likeness: K, look: impl FnOnce(&T) -> L) -> Number {
        let Self { kept, numbers } = self;
        *numbers.entry(likeness).or_insert_with(|| {
            let look = look(&part);
            kept.push(Kept { part, look, likeness });
            Number::try_from(kept.len() - 1).expect("fewer parts than numbers")
        })
    }

    /// The part with this number, which this pool gave.
    pub fn get(&self, number: Number) -> &Kept<T, L, K> {
        &self.kept[number as usize]
    }

    /// How many parts there are.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

/// What came of something that was done to a part, by what was done and to which part.
pub struct Memo<V> {
    known: HashMap<u128, V, BuildHasherDefault<Quick>>,
}

impl<V> Default for Memo<V> {
    fn default() -> Self {
        Self { known: HashMap::default() }
    }
}

impl<V: Copy> Memo<V> {
    /// What came of `deed` with the parts `one` and `two`, if that is known.
    pub fn get(&self, deed: u32, one: u32, two: u32) -> Option<V> {
        self.known.get(&key(deed, one, two)).copied()
    }

    /// Keeps what came of it.
    pub fn keep(&mut self, deed: u32, one: u32, two: u32, value: V) {
        self.known.insert(key(deed, one, two), value);
    }

    /// How many outcomes are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// None are known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

fn key(deed: u32, one: u32, two: u32) -> u128 {
    u128::from(deed) << 64 | u128::from(one) << 32 | u128::from(two)
}
