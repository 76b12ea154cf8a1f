"""The n-gram features, exactly as src/inference/ngrams.rs computes them.

Text -> words -> n-grams of code points -> keys of 32 bits, salted by the script of the text. All arithmetic is on unsigned 64-bit integers that wrap.
"""
import re
import unicodedata
import numpy as np

MAX_CHARS = 2000
HANDLE = "abcdefghijklmnopqrstuvwxyz0123456789_"
LEET = str.maketrans("013457$", "oieasts")
HIDDEN = re.compile("(?<=[a-z])[013457$]+(?=[a-z])")
ORDERS = (1, 2, 3, 4, 5)
BASIS, PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
MIX = np.uint64(0x9E3779B97F4A7C15)


def words(text):
    """NFKC, lower case, cut; controls and white space separate."""
    text = unicodedata.normalize("NFKC", text[:MAX_CHARS]).lower()
    text = "".join(" " if (c < " " or "\x7f" <= c <= "\x9f") else c for c in text) if any(
        c < " " or "\x7f" <= c <= "\x9f" for c in text) else text
    return [unhide(mask(w)) for w in text.split()]


def mask(word):
    """Links and handles become the same two words as in the training data."""
    if word.startswith(("http://", "https://", "www.")):
        return "url"
    if len(word) > 1 and word[0] == "@" and word[1] in HANDLE:
        return "@user" + word[1:].lstrip(HANDLE)
    return word


def unhide(word):
    """Digits that stand for letters, between two plain letters, become these letters."""
    return HIDDEN.sub(lambda m: m[0].translate(LEET), word)


def foreign(text):
    """Share of the code points of the words that are beyond the Latin blocks (U+0250 and up)."""
    letters = "".join(words(text))
    return sum(c >= "\u0250" for c in letters) / len(letters) if letters else 0.0


# Scripts with weights of their own; everything else is 0. Ranges of code points, both ends included.
SCRIPTS = {1: ((0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)),  # Han
           2: ((0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7AF)),  # Hangul
           3: ((0x0600, 0x06FF), (0x0750, 0x077F), (0x08A0, 0x08FF), (0xFB50, 0xFDFF), (0xFE70, 0xFEFF)),  # Arabic
           4: ((0x0400, 0x052F),)}  # Cyrillic
GROUPS = 5
SALT = 0x9E3779B9


def members(ranges):
    return re.compile("[" + "".join(f"{chr(a)}-{chr(b)}" for a, b in ranges) + "]")


LATIN, OF_SCRIPT = members(((97, 122), (0xC0, 0x24F))), [members(r) for r in SCRIPTS.values()]


def script(text):
    """The commonest of SCRIPTS if it has at least half as many code points as the Latin letters; otherwise 0."""
    joined = "".join(words(text))
    n = [0] * 4 if joined.isascii() else [len(s.findall(joined)) for s in OF_SCRIPT]
    top = max(n)
    return n.index(top) + 1 if top and 2 * top >= len(LATIN.findall(joined)) else 0


def key(h, row_salt):
    return ((h ^ (h >> np.uint64(32))) * MIX >> np.uint64(32)).astype(np.uint32) ^ row_salt


def keys(texts):
    """Row number and key of every feature occurrence in `texts`."""
    lens, cps, word_rows = [], [], []
    for r, t in enumerate(texts):
        for word in words(t):
            cps.append(np.frombuffer(f" {word} ".encode("utf-32-le"), dtype=np.uint32))
            lens.append(len(cps[-1]))
            word_rows.append(r)
    if not cps:
        return np.zeros(0, np.int32), np.zeros(0, np.uint32)
    salts = np.array([script(t) * SALT & 0xFFFFFFFF for t in texts], np.uint32)
    lens, word_rows = np.array(lens), np.array(word_rows, np.int32)
    starts = np.concatenate([[0], np.cumsum(lens)[:-1]])
    cp = np.concatenate(cps).astype(np.uint64)
    row_of, end = np.repeat(word_rows, lens), np.repeat(starts + lens, lens)
    index, h, rows, out = np.arange(len(cp)), np.full(len(cp), BASIS), [], []
    with np.errstate(over="ignore"):
        for n in ORDERS:
            h = h[: len(cp) - n + 1]
            h = (h ^ cp[n - 1:]) * PRIME
            ok = index[: len(h)] + n <= end[: len(h)]
            if n == 1:
                ok &= cp != 32
            rows.append(row_of[: len(h)][ok])
            out.append(key(h[ok] ^ np.uint64(n), salts[rows[-1]]))
        first = index - np.repeat(starts, lens)
        power = np.cumprod(np.concatenate([[np.uint64(1)], np.full(int(lens.max()), PRIME)]), dtype=np.uint64)
        wh = np.add.reduceat((cp + np.uint64(1)) * power[first], starts)
        pair = (wh[:-1] * MIX) ^ wh[1:]
        ok = word_rows[:-1] == word_rows[1:]
        rows.append(word_rows[:-1][ok])
        out.append(key((pair[ok] * PRIME) ^ np.uint64(99), salts[rows[-1]]))
    return np.concatenate(rows), np.concatenate(out)


def counts(texts, chunk=4000):
    """Keys, their counts and the first place of each row: like CSR, each row sorted by key."""
    found, times, per_row = [], [], []
    for i in range(0, len(texts), chunk):
        part = texts[i:i + chunk]
        r, k = keys(part)
        both = np.sort((r.astype(np.uint64) << np.uint64(32)) | k)
        new = np.flatnonzero(np.concatenate([[True], both[1:] != both[:-1]]) if len(both) else [])
        found.append(both[new].astype(np.uint32))
        times.append(np.diff(np.append(new, len(both))).astype(np.uint16))
        per_row.append(np.bincount((both[new] >> np.uint64(32)).astype(np.int64), minlength=len(part)))
    return np.concatenate(found), np.concatenate(times), np.concatenate([[0], np.cumsum(np.concatenate(per_row))])
