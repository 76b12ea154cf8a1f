//! The n-gram scorer: which words and letter sequences a text has, whatever its language.
//!
//! Features are 32-bit keys, so that no list of n-grams (and no abusive word) is in the file; keys that training did not
//! keep are unknown and count nothing. Each script has keys, weights and biases of its own. Equal to
//! `models/text/train/ngrams.py` key by key; all integers wrap.
//!
//! File `ngrams.bin`, little endian: magic `AHNGRAM2`, u32 features, u32 scripts (5), u32 labels (3), f32 step of a scale
//! byte, f32 bias 5 x 3, f32 weight step 5 x 3, then the keys (u32, rising), a scale byte each, 3 signed 16-bit weights each.

use super::text::{SCRIPTS, script};

const MAGIC: &[u8; 8] = b"AHNGRAM2";
const HEADER: usize = 8 + 4 * 4 + SCRIPTS * 6 * 4;
const RECORD: usize = 4 + 1 + 6;
const BASIS: u64 = 0xCBF2_9CE4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01B3;
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
const SALT: u32 = 0x9E37_79B9;
const LONGEST: usize = 5;
const PAIR_SALT: u64 = 99;

/// Key of a finished hash; the salt of the script is put on later.
fn key(h: u64) -> u32 {
    ((h ^ (h >> 32)).wrapping_mul(MIX) >> 32) as u32
}

/// Keys of every feature occurrence of `words`, unsorted: n-grams of 1 to 5 code points within a word that is
/// padded by one space on each side (the lone space excepted), and neighbouring word pairs; salted by the script.
pub fn keys(words: &[String]) -> Vec<u32> {
    let mut out = Vec::with_capacity(words.iter().map(|w| w.len() * LONGEST + 8).sum());
    let mut before: Option<u64> = None;
    let mut padded: Vec<u64> = Vec::new();
    for word in words {
        padded.clear();
        padded.push(u64::from(b' '));
        padded.extend(word.chars().map(|c| u64::from(u32::from(c))));
        padded.push(u64::from(b' '));
        letters(&padded, &mut out);
        let whole = word_hash(&padded);
        if let Some(left) = before.replace(whole) {
            out.push(key((left.wrapping_mul(MIX) ^ whole).wrapping_mul(PRIME) ^ PAIR_SALT));
        }
    }
    let salt = (script(words) as u32).wrapping_mul(SALT);
    out.iter_mut().for_each(|k| *k ^= salt);
    out
}

fn letters(padded: &[u64], out: &mut Vec<u32>) {
    for start in 0..padded.len() {
        let mut h = BASIS;
        for (n, cp) in padded[start..].iter().take(LONGEST).enumerate() {
            h = (h ^ cp).wrapping_mul(PRIME);
            if n > 0 || *cp != u64::from(b' ') {
                out.push(key(h ^ (n as u64 + 1)));
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
    scale_step: f32,
    bias: [[f32; 3]; SCRIPTS],
    step: [[f32; 3]; SCRIPTS],
    keys: Vec<u32>,
    scales: Vec<u8>,
    weights: Vec<i16>,
}

impl Ngrams {
    /// Reads `ngrams.bin`; the error says what does not fit.
    pub fn parse(raw: &[u8]) -> Result<Ngrams, String> {
        if raw.len() < HEADER || &raw[..8] != MAGIC {
            return Err("it does not begin with AHNGRAM2".into());
        }
        let word = |i: usize| <[u8; 4]>::try_from(&raw[8 + i * 4..12 + i * 4]).unwrap_or_default();
        let [size, scripts, labels] = [0, 1, 2].map(|i| u32::from_le_bytes(word(i)) as usize);
        if (scripts, labels) != (SCRIPTS, 3) {
            return Err(format!("{scripts} scripts and {labels} labels are not supported"));
        }
        if raw.len() != HEADER + size * RECORD {
            return Err(format!("it has {} bytes instead of {}", raw.len(), HEADER + size * RECORD));
        }
        let real = |i: usize| f32::from_le_bytes(word(3 + i));
        let table = |from: usize| std::array::from_fn(|g| std::array::from_fn(|i| real(from + g * 3 + i)));
        let (keys, rest) = raw[HEADER..].split_at(size * 4);
        let keys: Vec<u32> = keys.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        if !keys.is_sorted() {
            return Err("its keys do not rise".into());
        }
        let weights = rest[size..].chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
        Ok(Ngrams { scale_step: real(0), bias: table(1), step: table(1 + SCRIPTS * 3), keys, scales: rest[..size].to_vec(), weights })
    }

    /// Logits of none, offensive and hate, each against the rest.
    pub fn logits(&self, words: &[String]) -> [f32; 3] {
        let mut found = keys(words);
        found.sort_unstable();
        let (mut sum, mut square) = ([0f32; 3], 0f32);
        for same in found.chunk_by(|a, b| a == b) {
            let Ok(at) = self.keys.binary_search(&same[0]) else { continue };
            let weight = (1.0 + (same.len() as f32).ln()) * f32::from(self.scales[at]) * self.scale_step;
            square += weight * weight;
            for (s, w) in sum.iter_mut().zip(&self.weights[at * 3..at * 3 + 3]) {
                *s += weight * f32::from(*w);
            }
        }
        let (norm, g) = (square.sqrt().max(1e-9), script(words));
        std::array::from_fn(|i| sum[i] / norm * self.step[g][i] + self.bias[g][i])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_two_letters_has_eight_sequences_and_no_lone_space() {
        // " ab ": 2 letters, 3 pairs, 2 triples, 1 quadruple.
        assert_eq!(keys(&["ab".into()]).len(), 2 + 3 + 2 + 1);
    }

    #[test]
    fn neighbouring_words_add_one_pair_whose_order_counts() {
        let pair = |a: &str, b: &str| keys(&[a.into(), b.into()]).pop();
        assert_ne!(pair("ab", "cd"), pair("cd", "ab"));
    }

    #[test]
    fn a_cut_file_is_refused_with_the_reason() {
        let mut raw = MAGIC.to_vec();
        raw.extend([1u32.to_le_bytes(), 5u32.to_le_bytes(), 3u32.to_le_bytes()].concat());
        raw.extend([0u8; 4 + SCRIPTS * 24]);
        assert!(Ngrams::parse(&raw).is_err_and(|e| e.contains("instead of 155")));
        raw.extend([0u8; RECORD]);
        assert_eq!(Ngrams::parse(&raw).map(|n| n.logits(&[])), Ok([0.0; 3]));
        assert!(Ngrams::parse(b"nothing").is_err());
    }
}
