"""The n-gram features, exactly as src/inference/ngram.rs computes them.

Text -> words -> n-grams of code points -> buckets. All arithmetic is on unsigned 64-bit integers that wrap.
"""
import unicodedata
import numpy as np

MAX_CHARS = 2000
HANDLE = "abcdefghijklmnopqrstuvwxyz0123456789_"
ORDERS = (1, 2, 3, 4, 5)
BASIS, PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
MIX = np.uint64(0x9E3779B97F4A7C15)


def words(text):
    """NFKC, lower case, cut; controls and white space separate."""
    text = unicodedata.normalize("NFKC", text[:MAX_CHARS]).lower()
    text = "".join(" " if (c < " " or "\x7f" <= c <= "\x9f") else c for c in text) if any(
        c < " " or "\x7f" <= c <= "\x9f" for c in text) else text
    return [mask(w) for w in text.split()]


def mask(word):
    """Links and handles become the same two words as in the training data."""
    if word.startswith(("http://", "https://", "www.")):
        return "url"
    if len(word) > 1 and word[0] == "@" and word[1] in HANDLE:
        return "@user" + word[1:].lstrip(HANDLE)
    return word


def foreign(text):
    """Share of the code points of the words that are beyond the Latin blocks (U+0250 and up)."""
    letters = "".join(words(text))
    return sum(c >= "\u0250" for c in letters) / len(letters) if letters else 0.0


def bucket(h, bits):
    h = (h ^ (h >> np.uint64(32))) * MIX
    return (h >> np.uint64(64 - bits)).astype(np.int32)


def keys(texts, bits, word_pairs=True):
    """Row number and bucket of every feature occurrence in `texts`."""
    rows, out = [], []
    cps, row_of, word_of, w = [], [], [], 0
    word_rows = []
    for r, t in enumerate(texts):
        for word in words(t):
            padded = f" {word} "
            cps.append(np.frombuffer(padded.encode("utf-32-le"), dtype=np.uint32))
            word_rows.append(r)
            word_of.append(len(padded))
            w += 1
    if not cps:
        return np.zeros(0, np.int32), np.zeros(0, np.int32)
    lens = np.array(word_of)
    word_rows = np.array(word_rows, np.int32)
    starts = np.concatenate([[0], np.cumsum(lens)[:-1]])
    cp = np.concatenate(cps).astype(np.uint64)
    row_of = np.repeat(word_rows, lens)
    end = np.repeat(starts + lens, lens)
    index = np.arange(len(cp))
    h = np.full(len(cp), BASIS)
    with np.errstate(over="ignore"):
        for n in ORDERS:
            h = h[: len(cp) - n + 1]
            h = (h ^ cp[n - 1:]) * PRIME
            ok = index[: len(h)] + n <= end[: len(h)]
            if n == 1:
                ok &= cp != 32
            rows.append(row_of[: len(h)][ok])
            out.append(bucket(h[ok] ^ np.uint64(n), bits))
        if word_pairs and len(lens) > 1:
            first = index - np.repeat(starts, lens)
            power = np.cumprod(np.concatenate([[np.uint64(1)], np.full(int(lens.max()), PRIME)]), dtype=np.uint64)
            wh = np.add.reduceat((cp + np.uint64(1)) * power[first], starts)
            pair = (wh[:-1] * MIX) ^ wh[1:]
            ok = word_rows[:-1] == word_rows[1:]
            rows.append(word_rows[:-1][ok])
            out.append(bucket((pair[ok] * PRIME) ^ np.uint64(99), bits))
    return np.concatenate(rows), np.concatenate(out)


def counts(texts, bits, word_pairs=True, chunk=5000):
    """CSR matrix of counts (float32)."""
    import scipy.sparse as sp
    parts = []
    for i in range(0, len(texts), chunk):
        part = texts[i:i + chunk]
        r, c = keys(part, bits, word_pairs)
        m = sp.csr_matrix((np.ones(len(r), np.float32), (r, c)), shape=(len(part), 1 << bits))
        m.sum_duplicates()
        parts.append(m)
    return sp.vstack(parts, format="csr")
