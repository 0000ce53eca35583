//! The fingerprints that were seen: nine to fourteen bytes each, in many small tables that grow one at a time.
//!
//! Refuses to know what a fingerprint is of. The law: none is forgotten, and one table's growth never needs the memory of
//! all of them twice.

/// So many tables.
const TABLES: usize = 1 << 10;

/// In which table a fingerprint is: its highest bits say.
fn table_of(fingerprint: u64) -> usize {
    (fingerprint >> 54) as usize
}

/// A table grows when more than seven of eight places are taken.
const FULL: (usize, usize) = (7, 8);

/// A place that is free. A fingerprint that has this value is kept as another one, as if both were of one state.
const FREE: u64 = 0;

#[derive(Clone)]
struct Table {
    places: Vec<u64>,
    taken: usize,
}

/// A set of fingerprints.
pub struct Visited {
    tables: Vec<Table>,
    len: usize,
}

impl Default for Visited {
    fn default() -> Self {
        Self { tables: vec![Table { places: vec![FREE; 16], taken: 0 }; TABLES], len: 0 }
    }
}

impl Table {
    /// The place where `fingerprint` would like to be.
    fn home(&self, fingerprint: u64) -> usize {
        ((u128::from(fingerprint.rotate_left(10)) * self.places.len() as u128) >> 64) as usize
    }

    /// The place where `fingerprint` is, or would be.
    fn place(&self, fingerprint: u64) -> usize {
        let size = self.places.len();
        let mut at = self.home(fingerprint);
        while self.places[at] != FREE && self.places[at] != fingerprint {
            at += 1;
            if at == size {
                at = 0;
            }
        }
        at
    }

    fn insert(&mut self, fingerprint: u64) -> bool {
        let at = self.place(fingerprint);
        if self.places[at] == fingerprint {
            return false;
        }
        self.places[at] = fingerprint;
        self.taken += 1;
        if self.taken * FULL.1 > self.places.len() * FULL.0 {
            self.grow();
        }
        true
    }

    fn grow(&mut self) {
        let size = self.places.len() + self.places.len() / 2;
        let former = std::mem::replace(&mut self.places, vec![FREE; size]);
        for fingerprint in former.into_iter().filter(|it| *it != FREE) {
            let at = self.place(fingerprint);
            self.places[at] = fingerprint;
        }
    }
}

impl Visited {
    /// True if it was not seen before.
    pub fn insert(&mut self, fingerprint: u64) -> bool {
        let fingerprint = if fingerprint == FREE { 1 } else { fingerprint };
        let new = self.tables[table_of(fingerprint)].insert(fingerprint);
        self.len += usize::from(new);
        new
    }

    /// Has the places of these fingerprints brought near. Changes nothing.
    pub fn fetch(&self, fingerprints: impl Iterator<Item = u64>) {
        let read = |so_far: u64, fingerprint: u64| {
            let table = &self.tables[table_of(fingerprint)];
            so_far ^ table.places[table.home(fingerprint)]
        };
        std::hint::black_box(fingerprints.fold(0, read));
    }

    /// How many were seen.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_what_a_set_of_the_library_keeps() {
        let (mut ours, mut theirs) = (Visited::default(), std::collections::BTreeSet::new());
        let mut bits = 1_u64;
        for round in 0..300_000_u64 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Every third one was there before, and small ones share a table.
            let fingerprint = if round % 3 == 0 { bits >> 44 } else { bits };
            assert_eq!(ours.insert(fingerprint), theirs.insert(fingerprint.max(1)), "{fingerprint}");
        }
        assert_eq!(ours.len(), theirs.len());
    }

    #[test]
    fn zero_and_one_are_kept_as_one() {
        let mut ours = Visited::default();
        assert!(ours.is_empty() && ours.insert(0) && !ours.insert(0) && !ours.insert(1));
        assert_eq!(ours.len(), 1);
    }
}
