//! Choices that a test makes again in every run.

/// From a seed that is not 0 (xorshift).
pub struct Dice(pub u64);

impl Dice {
    /// Below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}
