"""Three-class logistic regression on hashed n-grams, all languages; stores 16-bit weights and one idf byte a bucket."""
import argparse, pickle, time
import numpy as np, scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
import data

IDF_STEP = 1 / 16  # idf is kept as a byte in steps of this


def fold(m, bits, have):
    c = sp.csr_matrix((m.data, m.indices >> (have - bits), m.indptr), shape=(m.shape[0], 1 << bits))
    c.sum_duplicates()
    return c


def idf_bytes(counts, least):
    n, df = counts.shape[0], np.bincount(counts.indices, minlength=counts.shape[1])
    q = np.clip(np.round((np.log((1 + n) / (1 + df)) + 1) / IDF_STEP), 1, 255).astype(np.uint8)
    q[df < least] = 0  # too rare to say anything: it would only shorten the others in the norm
    return q


def scale(counts, idf):
    m = counts.copy()
    m.data = (1 + np.log(m.data)) * (idf[m.indices].astype(np.float32) * np.float32(IDF_STEP))
    m.eliminate_zeros()
    norm = np.sqrt(np.asarray(m.multiply(m).sum(1)).ravel())
    m.data /= np.repeat(np.maximum(norm, 1e-9), np.diff(m.indptr)).astype(np.float32)
    return m.astype(np.float32)


def weights(rows):
    """Negatives that were judged for one topic only are trusted less."""
    return np.array([0.9 if r["label"] == "none" and r["neg_scope"] == "gender_only" else 1.0 for r in rows], np.float32)


def fit(x, rows, w, c, power, iters, log=print):
    """Multinomial logistic regression by SAGA; classes weighted by the given power of their rarity."""
    k = np.array([data.LABELS.index(r["label"]) for r in rows])
    freq = np.bincount(k, weights=w, minlength=3)
    w = w * ((freq.sum() / (3 * freq)) ** power)[k]
    t = time.time()
    m = LogisticRegression(C=c, solver="saga", max_iter=iters, tol=1e-4, random_state=7).fit(x, k, sample_weight=w.astype(np.float32))
    log("fit", m.n_iter_, "passes", round(time.time() - t), "s", flush=True)
    return m.coef_.T.astype(np.float32), m.intercept_.astype(np.float32)


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def best_threshold(p, hate):
    grid = np.arange(0.1, 0.9, 0.01)
    return max(grid, key=lambda t: f1_score(hate, p > t, average="macro"))


def decide(p, t):
    return np.where(p[:, 2] > t, 2, (p[:, 1] > p[:, 0]).astype(int))


def report(name, p, rows, t):
    y = np.array([data.LABELS.index(r["label"]) for r in rows])
    out = [("all", np.ones(len(y), bool))] + [(l, np.array([r["lang"] == l for r in rows])) for l in
                                              ("en", "de", "ko", "zh", "pt", "ur-Latn", "ar", "fr", "ru")]
    hate = " ".join(f"{l}={f1_score(y[m] == 2, p[m, 2] > t, average='macro'):.3f}" for l, m in out)
    three = f1_score(y, decide(p, t), average=None)
    auc = " ".join(f"{l}={roc_auc_score(y[m] == 2, p[m, 2]):.3f}" for l, m in out if l != "ru")
    print(name, "AUC", auc)
    print(name, f"t={t:.2f}", hate, "| three", f"{three.mean():.3f}", three.round(3), flush=True)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--dir", required=True, help="folder that features.py filled")
    a.add_argument("--out", required=True)
    a.add_argument("--bits", type=int, default=20)
    a.add_argument("--c", type=float, default=2.5)
    a.add_argument("--power", type=float, default=0.6)
    a.add_argument("--iters", type=int, default=22)
    a.add_argument("--least", type=int, default=10, help="rows that a bucket must occur in")
    a.add_argument("--sample", type=int, default=0)
    a = a.parse_args()
    rows = {s: pickle.load(open(f"{a.dir}/{s}.pkl", "rb")) for s in ("train", "dev", "test")}
    x = {s: fold(sp.load_npz(f"{a.dir}/{s}.20.npz"), a.bits, 20) for s in rows}
    if a.sample:
        keep = np.random.RandomState(1).permutation(len(rows["train"]))[:a.sample]
        rows["train"] = [rows["train"][i] for i in keep]
        x["train"] = x["train"][keep]
    idf = idf_bytes(x["train"], a.least)
    x = {s: scale(m, idf) for s, m in x.items()}
    W, b = fit(x["train"], rows["train"], weights(rows["train"]), a.c, a.power, a.iters)
    step = np.abs(W).max(0) / 32767
    q = np.round(W / step).astype(np.int16)
    for kind, M in (("i16", q * step),):
        p = {s: softmax(x[s] @ M + b) for s in ("dev", "test")}
        t = best_threshold(p["dev"][:, 2], [r["label"] == "hate" for r in rows["dev"]])
        for s in p:
            report(f"{kind} {s}", p[s], rows[s], t)
    np.savez(a.out, q=q, step=step.astype(np.float32), bias=b, idf=idf, bits=a.bits)


if __name__ == "__main__":
    main()
