"""Weights of the n-grams: for each script a vocabulary and three logistic regressions (none, offensive, hate; each against the rest).

Classes are balanced inside each language, so that 0 means "as likely as usual there" whatever the language.
A feature counts in the norm by how unevenly it is spread over the labels (in its language), not by its rarity.
"""
import argparse, pickle, time
import numpy as np, scipy.sparse as sp
from scipy.optimize import minimize
import data, ngrams

STEP = 1 / 100  # scales are kept as a byte in steps of this
# By script: rows that a feature must occur in, and C of the regressions (picked on dev).
SETTINGS = {0: (7, 1.0), 1: (5, 4.0), 2: (5, 1.0), 3: (3, 2.0), 4: (3, 2.0)}
PASSES = 100


def load(path):
    z = np.load(path)
    return {k: z[k] for k in z.files}


def take(c, index):
    """The counts of some rows."""
    n = c["first"][index + 1] - c["first"][index]
    at = np.repeat(c["first"][index] - np.concatenate([[0], np.cumsum(n)[:-1]]), n) + np.arange(n.sum())
    return {"keys": c["keys"][at], "times": c["times"][at], "first": np.concatenate([[0], np.cumsum(n)])}


def vocabulary(keys, least):
    found, df = np.unique(keys, return_counts=True)
    return found[df >= least]


def matrix(c, vocab):
    """CSR of counts over a sorted vocabulary; unknown keys are left out."""
    at = np.searchsorted(vocab, c["keys"])
    at[at == len(vocab)] = 0
    ok = vocab[at] == c["keys"]
    first = np.concatenate([[0], np.cumsum(ok)])[c["first"]]
    return sp.csr_matrix((c["times"][ok].astype(np.float32), at[ok].astype(np.int32), first), shape=(len(first) - 1, len(vocab)))


def scaled(m, scale):
    """(1 + log count) x scale, rows of length 1."""
    m = m.copy()
    m.data = (1 + np.log(m.data)) * scale[m.indices]
    norm = np.sqrt(np.asarray(m.multiply(m).sum(1)).ravel())
    m.data /= np.repeat(np.maximum(norm, 1e-9), np.diff(m.indptr)).astype(np.float32)
    return m.astype(np.float32)


def log_ratio(m, y, lang):
    """Logarithm of how much oftener a feature is in y, against what its languages let expect."""
    once = sp.csr_matrix((np.ones_like(m.data), m.indices, m.indptr), m.shape).T
    usual = np.zeros(len(y), np.float32)
    for l in np.unique(lang):
        usual[lang == l] = y[lang == l].mean()
    n, here, expected = np.asarray(once.sum(1)).ravel(), once @ y.astype(np.float32), once @ usual
    return np.log((here + 1) / (expected + 1)) - np.log((n - here + 1) / (n - expected + 1))


def scale_bytes(m, k, lang):
    r = np.sqrt((log_ratio(m, k == 0, lang) ** 2 + log_ratio(m, k == 2, lang) ** 2) / 2)
    return np.clip(np.round(np.sqrt(r + 0.1) / STEP), 1, 255).astype(np.uint8)


def balanced(y, lang, base):
    """Inside each language both classes weigh the same, and the language as before."""
    w = base.copy()
    for l in np.unique(lang):
        here = lang == l
        sides = [here & ~y, here & y]
        if all(s.any() for s in sides):
            for s in sides:
                w[s] *= base[here].sum() / 2 / base[s].sum()
    return w


def fit(x, y, w, c, passes):
    """Logistic regression by L-BFGS: weights and bias."""
    xt, sign = x.T.tocsr(), np.where(y, 1, -1).astype(np.float32)

    def f(v):
        z = (x @ v[:-1].astype(np.float32) + np.float32(v[-1])) * sign
        g = (-sign * w / (1 + np.exp(np.minimum(z, 60)))).astype(np.float32)
        return (w * np.logaddexp(0, -z)).sum() + (v[:-1] ** 2).sum() / 2 / c, np.append(xt @ g + v[:-1] / c, g.sum())

    r = minimize(f, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": passes, "maxcor": 6})
    return r.x[:-1].astype(np.float32), r.x[-1]


def train(rows, counts, log=print):
    """The table: keys, scale bytes, weights of 16 bits, and for each script biases and steps."""
    k, lang = np.array([data.LABELS.index(r["label"]) for r in rows]), np.array([r["lang"] for r in rows])
    base = np.array([0.8 if r["label"] == "none" and r["neg_scope"] == "gender_only" else 1.0 for r in rows])
    parts, bias, step = [], np.zeros((ngrams.GROUPS, 3), np.float32), np.zeros((ngrams.GROUPS, 3), np.float32)
    for g, (least, c) in sorted(SETTINGS.items(), key=lambda s: -s[0]):
        t, index = time.time(), np.flatnonzero(counts["script"] == g)
        part = take(counts, index)
        vocab = vocabulary(part["keys"], least)
        m, y, l = matrix(part, vocab), k[index], lang[index]
        scale = scale_bytes(m, y, l)
        x, heads = scaled(m, scale * np.float32(STEP)), []
        for i in range(3):
            one, bias[g, i] = fit(x, y == i, balanced(y == i, l, base[index]), c, PASSES)
            heads.append(one)
        W = np.stack(heads, 1)
        step[g] = np.maximum(np.abs(W).max(0), 1e-9) / 32767
        parts.append((vocab, scale, np.round(W / step[g]).astype(np.int16)))
        log("script", g, len(index), "rows", len(vocab), "features", round(time.time() - t), "s", flush=True)
    keys, scale, q = (np.concatenate(p) for p in zip(*parts))
    keys, first = np.unique(keys, return_index=True)
    return {"keys": keys, "scale": scale[first], "q": q[first], "bias": bias, "step": step}


def logits(z, counts):
    """As src/inference/ngrams.rs computes them."""
    x, g = scaled(matrix(counts, z["keys"]), z["scale"] * np.float32(STEP)), counts["script"]
    return ((x @ z["q"].astype(np.float32)) * z["step"][g] + z["bias"][g]).astype(np.float32)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--dir", required=True, help="folder that features.py filled")
    a.add_argument("--out", required=True)
    a = a.parse_args()
    rows = pickle.load(open(f"{a.dir}/train.pkl", "rb"))
    np.savez(a.out, **train(rows, load(f"{a.dir}/train.npz")))


if __name__ == "__main__":
    main()
