/// Bytes without a pattern. The same seed makes the same bytes everywhere.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..length).map(|_| random.next() as u8).collect()
}

/// Bytes that compress to a bit more than half, as code does: words from a vocabulary, some of
/// them changed.
pub fn code(length: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let vocabulary: Vec<[u8; 4]> = (0..400)
        .map(|_| (random.next() as u32).to_le_bytes())
        .collect();
    let mut bytes = Vec::with_capacity(length + 4);
    while bytes.len() < length {
        let number = random.next();
        let mut word = vocabulary[(number % 400) as usize];
        if number >> 32 & 3 == 0 {
            word[3] = (number >> 40) as u8;
        }
        bytes.extend(word);
    }
    bytes.truncate(length);
    bytes
}

/// Where two runs of bytes begin to differ; a missing byte differs too. Fast where tests are not
/// optimised: flash is compared a thousand times.
pub fn first_difference(found: &[u8], expected: &[u8]) -> Option<usize> {
    if found == expected {
        return None;
    }
    let same = found.iter().zip(expected).take_while(|(a, b)| a == b);
    Some(same.count())
}

/// A small deterministic generator (SplitMix64).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The same seed makes the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "it has no end")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// One of several, of which there is at least one.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}
