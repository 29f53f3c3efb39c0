//! Chance that can be replayed: every draw follows from the seed and from what it is drawn for, not from what was drawn
//! before, so that one call more changes nothing about the others.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Chance(mix(seed ^ 0x5851_f42d_4c95_7f2d))
    }

    /// The chance of something that is named by texts and a number.
    pub fn of(self, names: &[&str], number: u64) -> Self {
        let word = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        let name = |hash: u64, name: &&str| word(name.bytes().fold(hash, word), 0xff);
        Chance(mix(names.iter().fold(self.0, name) ^ mix(number)))
    }

    /// From 0 to 1, without 1.
    pub fn fraction(self) -> f64 {
        (mix(self.0) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From 0 to `n`, without `n`; 0 for none.
    pub fn below(self, n: u64) -> u64 {
        mix(self.0).checked_rem(n).unwrap_or(0)
    }

    pub fn happens(self, probability: f64) -> bool {
        self.fraction() < probability
    }
}

/// The finaliser of SplitMix64: every bit of the result depends on every bit of `x`.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_spread_and_depend_on_every_part_of_their_name() {
        let one = Chance::new(1);
        let draws = [
            one.of(&["create", "a"], 0),
            one.of(&["create", "a"], 1),
            one.of(&["creat", "ea"], 0),
            Chance::new(2).of(&["create", "a"], 0),
        ];
        assert!((1..4).all(|n| !draws[n..].contains(&draws[n - 1])));
        let hits = (0..10_000).filter(|n| one.of(&["x"], *n).happens(0.1)).count();
        assert!((900..1100).contains(&hits), "{hits}");
        assert!((0..1000).all(|n| one.of(&["x"], n).below(3) < 3));
    }
}
