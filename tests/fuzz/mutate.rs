//! New inputs out of old ones: bytes, words and lines changed, moved, repeated and mixed.

/// Inputs stay below this, so that time is spent on many of them.
const MAX: usize = 64 << 10;

/// What YAML, and the documents' own notation, give a meaning to.
const WORDS: &[&str] = &[
    "&a ",
    "*a",
    "*b",
    "<<: *a",
    "- ",
    "? ",
    ": ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "|",
    "|2-",
    ">+",
    "!!binary ",
    "!!int ",
    "!x ",
    "'",
    "\"",
    "\\x",
    "\\u12",
    "\\U0010ffff",
    "\"\\ud800\"",
    "# ",
    "%YAML 1.1\n",
    "---\n",
    "...\n",
    "\t",
    "\r",
    "\r\n",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "\0",
    "~",
    "null",
    "yes",
    "0o17",
    "0b1",
    "0x",
    "1_000",
    "12:30:45",
    ".inf",
    "-.inf",
    ".nan",
    "1e999",
    "-0",
    "9223372036854775808",
    "-9223372036854775809",
    "0.1e-400",
    "2001-01-01",
    "64GiB",
    "1.5T",
    "-1",
    "from: ",
    "from: local/small\n",
    "from: document.yaml\n",
    "++: ",
    "++",
    "~provider: ",
    "${env:HOME}",
    "${file:x}",
    "${secret:",
    "${",
    "}",
    "workspace_name: a\n",
    "cluster_name: a\n",
    "provider:\n  type: local\n",
    "runtime:\n  types: [spark]\n",
    "=",
    "available_node_types:\n",
    "../",
    "/",
    "a.b.c: 1\n",
    "\u{1f600}",
    "é",
    "\u{202e}",
];

/// Deterministic: a seed gives one sequence of inputs.
pub struct Mutator<'a> {
    state: u64,
    corpus: &'a [Vec<u8>],
}

impl<'a> Mutator<'a> {
    /// `corpus` must not be empty.
    pub fn new(seed: u64, corpus: &'a [Vec<u8>]) -> Self {
        Mutator { state: seed, corpus }
    }

    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`; 0 when that is 0.
    fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.random() % end as u64) as usize }
    }

    fn pick<T>(&mut self, from: &'a [T]) -> &'a T {
        let at = self.below(from.len());
        &from[at]
    }

    pub fn next(&mut self) -> Vec<u8> {
        let mut input = self.pick(self.corpus).clone();
        for _ in 0..=self.below(6) {
            match self.below(3) {
                0 => self.bytes(&mut input),
                1 => self.words(&mut input),
                _ => self.lines(&mut input),
            }
        }
        input.truncate(MAX);
        input
    }

    fn bytes(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len());
        let span = at..(at + 1 + self.below(16)).min(input.len());
        match self.below(5) {
            0 if !input.is_empty() => input[at] ^= 1 << self.below(8),
            1 if !input.is_empty() => input[at] = self.random() as u8,
            2 => drop(input.drain(span)),
            3 => input.truncate(at),
            _ => {
                let copy = input[span].to_vec();
                let to = self.below(input.len() + 1);
                input.splice(to..to, copy);
            }
        }
    }

    fn words(&mut self, input: &mut Vec<u8>) {
        let word = self.pick(WORDS).as_bytes();
        // Mostly once; now and then often enough to be deep, long or many.
        let times = if self.below(12) == 0 { 1 << self.below(13) } else { 1 };
        let at = self.below(input.len() + 1);
        let end = if self.below(2) == 0 { at } else { word_end(input, at) };
        input.splice(at..end, word.repeat(times));
    }

    fn lines(&mut self, input: &mut Vec<u8>) {
        let mut lines: Vec<Vec<u8>> = input.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        let (from, to) = (self.below(lines.len()), self.below(lines.len() + 1));
        match self.below(6) {
            0 if !lines.is_empty() => drop(lines.remove(from)),
            1 if !lines.is_empty() => {
                let line = lines.remove(from);
                lines.insert(to.min(lines.len()), line);
            }
            2 if !lines.is_empty() => lines.insert(to, lines[from].clone()),
            3 if !lines.is_empty() => drop(lines[from].splice(0..0, vec![b' '; 1 + self.below(4)])),
            4 if !lines.is_empty() => {
                let blanks = lines[from].iter().take_while(|b| **b == b' ').count();
                lines[from].drain(..blanks.min(1 + self.below(4)));
            }
            _ => {
                let other = self.pick(self.corpus);
                let donors: Vec<&[u8]> = other.split_inclusive(|b| *b == b'\n').collect();
                let start = self.below(donors.len());
                let end = (start + 1 + self.below(5)).min(donors.len());
                lines.splice(to..to, donors[start.min(end)..end].iter().map(|line| line.to_vec()));
            }
        }
        *input = lines.concat();
    }
}

fn word_end(input: &[u8], at: usize) -> usize {
    at + input[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')).count()
}

/// A smaller input that still fails: pieces are left out as long as any can be, first large ones.
pub fn shrink(input: &[u8], fails: &mut dyn FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut input = input.to_vec();
    let mut size = input.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < input.len() {
            let end = (at + size).min(input.len());
            let candidate = [&input[..at], &input[end..]].concat();
            if fails(&candidate) {
                input = candidate;
            } else {
                at = end;
            }
        }
        size /= 2;
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_sequence_of_inputs_and_another_seed_another() {
        let corpus = [b"a: 1\nb: [x, y]\n".to_vec(), Vec::new()];
        let inputs = |seed| {
            let mut mutator = Mutator::new(seed, &corpus);
            (0..500).map(|_| mutator.next()).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
        assert!(inputs(3).iter().all(|input| input.len() <= MAX));
    }

    #[test]
    fn shrinking_keeps_what_fails_and_drops_the_rest() {
        let fails = |input: &[u8]| input.windows(3).any(|w| w == b"bad") && input.contains(&b'!');
        let small = shrink(b"some text, a bad word\nand more of it! and more\n", &mut |i| fails(i));
        assert_eq!(small, b"bad!");
    }
}
