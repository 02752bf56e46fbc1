//! A quick hash for small keys that nobody hostile chooses: the search spends most of its time in maps of worlds.

use std::hash::{BuildHasherDefault, Hasher};

pub type Quick = BuildHasherDefault<Folding>;

/// Each word is folded in by a rotation, an exclusive or and a multiplication.
#[derive(Default)]
pub struct Folding(u64);

/// An odd number without structure: the golden ratio in 64 bits.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

impl Folding {
    fn fold(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(SPREAD);
    }
}

impl Hasher for Folding {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.fold(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.fold(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.fold(value);
    }

    fn write_usize(&mut self, value: usize) {
        self.fold(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.fold(value as u64);
    }

    fn finish(&self) -> u64 {
        // The map reads the low bits, which a multiplication mixes least.
        self.0 ^ (self.0 >> 32)
    }
}
