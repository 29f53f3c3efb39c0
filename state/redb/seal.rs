//! The envelope of every stored value: 32 bytes of BLAKE3, then JSON.
//!
//! The checksum covers the table, the key and the JSON, so that a value that was altered, or that turns up in another
//! place than it was stored at, is noticed.

use serde::{Serialize, de::DeserializeOwned};

const CHECKSUM: usize = 32;

/// A value as it is stored.
pub(crate) fn seal<T: Serialize + ?Sized>(table: &str, key: &[u8], value: &T) -> Vec<u8> {
    let mut bytes = vec![0; CHECKSUM];
    serde_json::to_writer(&mut bytes, value).expect("state types are always JSON");
    let checksum = checksum(table, key, &bytes[CHECKSUM..]);
    bytes[..CHECKSUM].copy_from_slice(&checksum);
    bytes
}

/// The value inside, or what is wrong with it.
pub(crate) fn open<T: DeserializeOwned>(table: &str, key: &[u8], bytes: &[u8]) -> Result<T, String> {
    let (says, json) = bytes.split_at_checked(CHECKSUM).ok_or("a stored value is cut short")?;
    if checksum(table, key, json) != says {
        return Err(format!("the checksum of a value in table `{table}` is wrong"));
    }
    serde_json::from_slice(json).map_err(|e| format!("a value in table `{table}` cannot be read: {e}"))
}

fn checksum(table: &str, key: &[u8], json: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = blake3::Hasher::new();
    for part in [table.as_bytes(), key] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    *hasher.update(json).finalize().as_bytes()
}

/// One number over a set of sealed values: the sum of their checksums. It changes as values come and go, without reading
/// the others, and tells when one is missing, old or doubled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum([u64; 4]);

impl Sum {
    pub fn add(&mut self, sealed: &[u8]) {
        self.each(sealed, u64::wrapping_add);
    }

    pub fn remove(&mut self, sealed: &[u8]) {
        self.each(sealed, u64::wrapping_sub);
    }

    fn each(&mut self, sealed: &[u8], step: fn(u64, u64) -> u64) {
        for (sum, part) in self.0.iter_mut().zip(sealed.chunks_exact(8)) {
            *sum = step(*sum, u64::from_le_bytes(part.try_into().expect("a chunk has 8 bytes")));
        }
    }

    pub fn to_hex(&self) -> String {
        self.0.iter().map(|part| format!("{part:016x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_whole_unaltered_and_in_its_place() {
        let sealed = seal("records", b"a", "text");
        assert_eq!(open::<String>("records", b"a", &sealed).unwrap(), "text");
        assert!(open::<String>("records", b"b", &sealed).is_err());
        assert!(open::<String>("journal", b"a", &sealed).is_err());
        for cut in 0..sealed.len() {
            assert!(open::<String>("records", b"a", &sealed[..cut]).is_err(), "cut at {cut}");
        }
        for bit in 0..sealed.len() * 8 {
            let mut altered = sealed.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(open::<String>("records", b"a", &altered).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_sum_forgets_the_order_and_notices_what_is_missing_or_doubled() {
        let sealed = ["x", "y", "z"].map(|v| seal("t", v.as_bytes(), v));
        let sum = |which: &[usize]| {
            let mut sum = Sum::default();
            which.iter().for_each(|i| sum.add(&sealed[*i]));
            sum
        };
        assert_eq!(sum(&[0, 1, 2]), sum(&[2, 0, 1]));
        assert_ne!(sum(&[0, 1]), sum(&[0, 2]));
        assert_ne!(sum(&[0, 1, 1]), sum(&[0, 1]));
        let mut without = sum(&[0, 1, 2]);
        without.remove(&sealed[1]);
        assert_eq!(without, sum(&[0, 2]));
    }
}
