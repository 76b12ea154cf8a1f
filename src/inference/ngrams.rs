//! The n-gram scorer: which words and letter sequences a text has, whatever its language.
//!
//! Features are hashed, so that no list of n-grams (and no abusive word) is in the file. Equal to
//! `models/text/train/ngrams.py` bucket by bucket; all integers wrap at 64 bits.
//!
//! File `ngrams.bin`, little endian: magic `AHNGRAM1`, u32 bits, u32 labels (3), f32 step of an idf byte,
//! f32 bias x 3, f32 weight step x 3, then 2^bits idf bytes, then 2^bits x 3 signed 16-bit weights.

const MAGIC: &[u8; 8] = b"AHNGRAM1";
const HEADER: usize = 8 + 8 + 7 * 4;
const BASIS: u64 = 0xCBF2_9CE4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01B3;
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
const LONGEST: usize = 5;
const PAIR_SALT: u64 = 99;

/// Bucket of a finished hash.
fn bucket(h: u64, bits: u32) -> u32 {
    ((h ^ (h >> 32)).wrapping_mul(MIX) >> (64 - bits)) as u32
}

/// Buckets of every feature occurrence of `words`, unsorted: n-grams of 1 to 5 code points within a word that is
/// padded by one space on each side (the lone space excepted), and neighbouring word pairs.
pub fn keys(words: &[String], bits: u32) -> Vec<u32> {
    let mut out = Vec::with_capacity(words.iter().map(|w| w.len() * LONGEST + 8).sum());
    let mut before: Option<u64> = None;
    let mut padded: Vec<u64> = Vec::new();
    for word in words {
        padded.clear();
        padded.push(u64::from(b' '));
        padded.extend(word.chars().map(|c| u64::from(u32::from(c))));
        padded.push(u64::from(b' '));
        letters(&padded, bits, &mut out);
        let whole = word_hash(&padded);
        if let Some(left) = before.replace(whole) {
            out.push(bucket((left.wrapping_mul(MIX) ^ whole).wrapping_mul(PRIME) ^ PAIR_SALT, bits));
        }
    }
    out
}

fn letters(padded: &[u64], bits: u32, out: &mut Vec<u32>) {
    for start in 0..padded.len() {
        let mut h = BASIS;
        for (n, cp) in padded[start..].iter().take(LONGEST).enumerate() {
            h = (h ^ cp).wrapping_mul(PRIME);
            if n > 0 || *cp != u64::from(b' ') {
                out.push(bucket(h ^ (n as u64 + 1), bits));
            }
        }
    }
}

fn word_hash(padded: &[u64]) -> u64 {
    let mut power = 1u64;
    padded.iter().fold(0u64, |sum, cp| {
        let term = (cp + 1).wrapping_mul(power);
        power = power.wrapping_mul(PRIME);
        sum.wrapping_add(term)
    })
}

/// Linear scorer over hashed n-grams, three logits.
pub struct Ngrams {
    bits: u32,
    idf_step: f32,
    bias: [f32; 3],
    step: [f32; 3],
    idf: Vec<u8>,
    weights: Vec<i16>,
}

impl Ngrams {
    /// Reads `ngrams.bin`; the error says what does not fit.
    pub fn parse(raw: &[u8]) -> Result<Ngrams, String> {
        if raw.len() < HEADER || &raw[..8] != MAGIC {
            return Err("it does not begin with AHNGRAM1".into());
        }
        let word = |i: usize| <[u8; 4]>::try_from(&raw[8 + i * 4..12 + i * 4]).unwrap_or_default();
        let (bits, labels) = (u32::from_le_bytes(word(0)), u32::from_le_bytes(word(1)));
        if !(8..=24).contains(&bits) || labels != 3 {
            return Err(format!("{bits} bits and {labels} labels are not supported"));
        }
        let size = 1usize << bits;
        if raw.len() != HEADER + size * 7 {
            return Err(format!("it has {} bytes instead of {}", raw.len(), HEADER + size * 7));
        }
        let real = |i: usize| f32::from_le_bytes(word(2 + i));
        Ok(Ngrams {
            bits,
            idf_step: real(0),
            bias: [real(1), real(2), real(3)],
            step: [real(4), real(5), real(6)],
            idf: raw[HEADER..HEADER + size].to_vec(),
            weights: raw[HEADER + size..].chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect(),
        })
    }

    /// Logarithm of the number of buckets.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// Logits of none, offensive and hate.
    pub fn logits(&self, words: &[String]) -> [f32; 3] {
        let mut found = keys(words, self.bits);
        found.sort_unstable();
        let (mut sum, mut square) = ([0f32; 3], 0f32);
        for same in found.chunk_by(|a, b| a == b) {
            let at = same[0] as usize;
            let weight = (1.0 + (same.len() as f32).ln()) * f32::from(self.idf[at]) * self.idf_step;
            square += weight * weight;
            for (s, w) in sum.iter_mut().zip(&self.weights[at * 3..at * 3 + 3]) {
                *s += weight * f32::from(*w);
            }
        }
        let norm = square.sqrt().max(1e-9);
        std::array::from_fn(|i| sum[i] / norm * self.step[i] + self.bias[i])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_two_letters_has_eight_sequences_and_no_lone_space() {
        // " ab ": 2 letters, 3 pairs, 2 triples, 1 quadruple.
        assert_eq!(keys(&["ab".into()], 20).len(), 2 + 3 + 2 + 1);
    }

    #[test]
    fn neighbouring_words_add_one_pair_whose_order_counts() {
        let pair = |a: &str, b: &str| keys(&[a.into(), b.into()], 20).pop();
        assert_ne!(pair("ab", "cd"), pair("cd", "ab"));
    }

    #[test]
    fn a_cut_file_is_refused_with_the_reason() {
        let mut raw = MAGIC.to_vec();
        raw.extend([8u32.to_le_bytes(), 3u32.to_le_bytes()].concat());
        raw.extend([0u8; 28]);
        assert!(Ngrams::parse(&raw).is_err_and(|e| e.contains("instead of 1836")));
        assert!(Ngrams::parse(b"nothing").is_err());
    }
}
