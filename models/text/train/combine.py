"""Fits the layer over encoder and n-grams on dev alone, measures on test, and writes the model folder."""
import argparse, hashlib, json, os, pickle, random
import numpy as np
import onnxruntime as rt
from scipy.optimize import minimize
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from tokenizers import Tokenizer
import data, ngrams, train_ngrams as tn, train_encoder as te

LANGS = ("all", "en", "de", "ko", "zh", "pt", "ur-Latn", "ar", "fr", "ru")
BASELINE = {"all": 0.775, "en": 0.715, "de": 0.713, "ko": 0.782, "zh": 0.861, "pt": 0.573, "ur-Latn": 0.770, "ar": 0.730, "fr": 0.474}


class Engine:
    """The encoder in ONNX Runtime, one thread, as the product runs it."""

    def __init__(self, folder, file, length=512):
        o = rt.SessionOptions()
        o.intra_op_num_threads = 1
        with open(f"{folder}/{file}", "rb") as f:
            self.sum = hashlib.sha256(f.read()).hexdigest()[:12]
        self.s = rt.InferenceSession(f"{folder}/{file}", o)
        self.tok = Tokenizer.from_file(f"{folder}/tokenizer.json")
        self.tok.no_padding()
        self.tok.enable_truncation(length)

    def logits_once(self, split, texts):
        """Logits of a whole split, kept beside it for the next run with the same file."""
        path = f"{split}.{self.sum}.npy"
        if not os.path.exists(path):
            np.save(path, self.logits(texts))
        return np.load(path)

    def logits(self, texts, budget=4096):
        ids = [e.ids for e in self.tok.encode_batch([" ".join(ngrams.words(t)) for t in texts])]
        out = np.zeros((len(ids), 3), np.float32)
        for b in te.batches([len(i) for i in ids], budget, random.Random(1)):
            x, m = te.pad([ids[j] for j in b])
            out[b] = self.s.run(None, {"input_ids": x.numpy(), "attention_mask": m.numpy()})[0]
        return out


def centred(x):
    return x - x.mean(1, keepdims=True)


def inputs(e, n, c):
    """The 16 inputs of the layer, in this order: encoder 3, n-grams 3, both times the foreign share, scripts 1 to 4."""
    e, s = centred(e), c["foreign"][:, None]
    return np.hstack([e, n, s * e, s * n, c["script"][:, None] == np.arange(1, ngrams.GROUPS)]).astype(np.float32)


def counted(texts):
    """What features.py keeps of a split, for a few texts."""
    keys, times, first = ngrams.counts(texts)
    return {"keys": keys, "times": times, "first": first, "script": np.array([ngrams.script(t) for t in texts], np.uint8),
            "foreign": np.array([ngrams.foreign(t) for t in texts], np.float32)}


def shares(langs, power=0.3):
    """Weights that let languages with few posts count a little more; on average 1. The power was picked on dev."""
    w = np.ones(len(langs))
    for l in np.unique(langs):
        w[langs == l] = (langs == l).mean() ** -power
    return w / w.mean()


def fit(x, y, w, l2=2.0):
    k = x.shape[1]
    Y = np.eye(3)[y]

    def f(v):
        W, b = v[:-3].reshape(k, 3), v[-3:]
        p = softmax(x @ W + b)
        g = (p - Y) * w[:, None]
        return -(w * np.log(np.maximum(p[np.arange(len(y)), y], 1e-12))).sum() + l2 / 2 * (W ** 2).sum(), np.concatenate(
            [(x.T @ g + l2 * W).ravel(), g.sum(0)])

    r = minimize(f, np.zeros(3 * k + 3), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return r.x[:-3].reshape(k, 3).astype(np.float32), r.x[-3:].astype(np.float32)


def out_of_fold(x, y, langs, folds=5):
    """Probabilities of every post by a layer that did not see it: thresholds picked on them suit posts that nobody has seen."""
    p = np.zeros((len(y), 3))
    for seen, left in StratifiedKFold(folds, shuffle=True, random_state=1).split(x, [f"{l} {k}" for l, k in zip(langs, y)]):
        W, b = fit(x[seen], y[seen], shares(langs)[seen])
        p[left] = softmax(x[left] @ W + b)
    return p


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def best_threshold(p, hate):
    grid = np.arange(0.1, 0.9, 0.01)
    return max(grid, key=lambda t: f1_score(hate, p > t, average="macro"))


def thresholds(p, y):
    """Hate above t; else offensive when its share of the rest is above u. Both picked on dev for macro-F1."""
    t = best_threshold(p[:, 2], y == 2)
    grid = np.arange(0.3, 0.7, 0.01)
    u = max(grid, key=lambda u: f1_score(y, decide(p, t, u), average="macro"))
    return float(round(t, 2)), float(round(u, 2))


def decide(p, t, u):
    return np.where(p[:, 2] > t, 2, (p[:, 1] > u * (p[:, 0] + p[:, 1])).astype(int))


def measure(p, rows, t, u):
    y = np.array([data.LABELS.index(r["label"]) for r in rows])
    got, out = decide(p, t, u), {}
    for l in LANGS:
        m = np.ones(len(y), bool) if l == "all" else np.array([r["lang"] == l for r in rows])
        three = f1_score(y[m], got[m], average=None, labels=[0, 1, 2], zero_division=0)
        out[l] = {"n": int(m.sum()), "hate": int((y[m] == 2).sum()), "macro_f1_hate": f1_score(y[m] == 2, got[m] == 2, average="macro"),
                  "auc": roc_auc_score(y[m] == 2, p[m, 2]) if (y[m] == 2).any() else None,
                  "f1": [float(v) for v in three], "macro_f1": float(three.mean())}
    m = np.array([r["neg_scope"] != "gender_only" for r in rows])
    out["all, without gender_only"] = {"n": int(m.sum()), "hate": int((y[m] == 2).sum()),
                                       "macro_f1_hate": f1_score(y[m] == 2, got[m] == 2, average="macro"),
                                       "auc": roc_auc_score(y[m] == 2, p[m, 2]), "f1": [], "macro_f1": None}
    return out


def write_ngrams(z, path):
    """Magic, sizes, scale step, biases, weight steps, keys, scale bytes, 16-bit weights: little endian."""
    with open(path, "wb") as f:
        f.write(b"AHNGRAM2")
        f.write(np.array([len(z["keys"]), ngrams.GROUPS, 3], "<u4").tobytes())
        f.write(np.concatenate([[tn.STEP], z["bias"].ravel(), z["step"].ravel()]).astype("<f4").tobytes())
        for k, kind in (("keys", "<u4"), ("scale", "u1"), ("q", "<i2")):
            f.write(z[k].astype(kind).tobytes())


def read_ngrams(path):
    """The same as a mapping, in the names of the training."""
    raw, g = open(path, "rb").read(), ngrams.GROUPS
    n, at = int(np.frombuffer(raw, "<u4", 1, 8)[0]), 24 + 24 * g
    head = np.frombuffer(raw, "<f4", 6 * g, 24).reshape(2, g, 3)
    return {"bias": head[0], "step": head[1], "keys": np.frombuffer(raw, "<u4", n, at), "scale": np.frombuffer(raw, "u1", n, at + 4 * n),
            "q": np.frombuffer(raw, "<i2", 3 * n, at + 5 * n).reshape(-1, 3)}


def write_toml(out, a, W, b, t, u, result):
    def sums(f):
        raw = open(f"{out}/{f}", "rb").read()
        return f'{{ path = "{f}", sha256 = "{hashlib.sha256(raw).hexdigest()}", size = {len(raw)} }}'

    fl = lambda v: "[" + ", ".join(f"{float(x):.6g}" if "e" not in f"{float(x):.6g}" else f"{float(x):.10f}" for x in v) + "]"
    rows = ",\n  ".join(fl(r) for r in W)
    acc = "\n".join(f'"{l}" = {{ posts = {r["n"]}, f32 = {r["f32"]:.4f}, int8 = {r["int8"]:.4f}, baseline = {BASELINE.get(l, 0):.3f} }}'
                    for l, r in result.items() if l in BASELINE)
    open(f"{out}/model.toml", "w").write(f'''# A text classifier: an encoder for what is said, n-grams for how it is written, one layer over both.
format = 1
name = "antihate-text"
version = "{a.version}"
licence = "Apache-2.0"
task = "text"
labels = ["none", "offensive", "hate"]
# Longest input of the encoder, in tokens; longer posts are cut.
max_length = 512

[files]
tokenizer = {sums("tokenizer.json")}
ngrams = {sums("ngrams.bin")}
golden = {sums("golden.json")}
# Half-precision weights, computed in single precision: for tract and for ONNX Runtime.
encoder_f32 = {sums("encoder.f16.onnx")}
# Eight-bit weights: for ONNX Runtime.
encoder_int8 = {sums("encoder.int8.onnx")}

[decision]
# Hate when its probability is above this; otherwise offensive when its part of the rest is above the second.
hate = {t}
offensive_of_rest = {u}

[combination]
# Rows: centred encoder logits (3), n-gram logits (3), both times the foreign share (6), Han, Hangul, Arabic, Cyrillic.
# Columns: none, offensive, hate.
weights = [
  {rows},
]
bias = {fl(b)}

[accuracy]
# Macro-F1 of hate against the rest on the shared test split; `baseline` is the character n-grams of the data card.
{acc}
''')


SENTENCES = [
    "What a lovely morning, the bakery had fresh bread again.", "The bus was late and I am tired.",
    "You are such an idiot, stop talking nonsense.", "This referee is a damn fool.",
    "People from that country should all leave, nobody wants them here.", "Women do not belong in politics.",
    "Der Bus kommt heute wieder zu spät, schade.", "Du bist ein Idiot.", "Diese Leute sollen alle verschwinden, sie gehören nicht hierher.",
    "오늘 날씨가 정말 좋네요.", "今天的天气很好，我们去公园吧。", "O jogo de ontem foi muito bom!", "Aaj mausam bohat acha hai.",
    "Il fait beau aujourd'hui.", "الطقس جميل اليوم", "Сегодня хорошая погода.", "@someone look at https://example.org/page, it is great :)",
    "ＦＵＬＬ　ＷＩＤＴＨ letters", "", "😀😀", "a", "y0u 4r3 4n 1d10t",
]


def golden(out, z, engines, W, b, decision):
    c = counted(SENTENCES)
    n = tn.logits(z, c)
    cases = []
    e = {k: v.logits(SENTENCES, budget=1) for k, v in engines.items()}  # one by one: int8 depends on its neighbours
    p = {k: softmax(inputs(v, n, c) @ W + b) for k, v in e.items()}
    for i, text in enumerate(SENTENCES):
        part = slice(c["first"][i], c["first"][i + 1])
        cases.append({"text": text, "normalised": " ".join(ngrams.words(text)), "foreign": round(float(c["foreign"][i]), 6),
                      "script": int(c["script"][i]), "features": len(c["keys"][part]),
                      "feature_sum": int(c["keys"][part].astype(np.int64).sum()), "occurrences": int(c["times"][part].sum()),
                      "ngram_logits": [round(float(v), 5) for v in n[i]],
                      "encoder_f32": [round(float(v), 5) for v in e["f32"][i]],
                      "scores_f32": [round(float(v), 5) for v in p["f32"][i]], "scores_int8": [round(float(v), 5) for v in p["int8"][i]],
                      "label_f32": data.LABELS[int(decide(p["f32"][i:i + 1], *decision)[0])]})
    json.dump({"cases": cases}, open(f"{out}/golden.json", "w"), ensure_ascii=False, indent=1)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--dir", required=True)
    a.add_argument("--ngrams", required=True)
    a.add_argument("--out", required=True, help="model folder that already holds the two encoders and the tokenizer")
    a.add_argument("--version", default="0.2.0")
    a = a.parse_args()
    rows = {s: pickle.load(open(f"{a.dir}/{s}.pkl", "rb")) for s in ("dev", "test")}
    z = np.load(a.ngrams)
    c = {s: tn.load(f"{a.dir}/{s}.npz") for s in rows}
    n = {s: tn.logits(z, c[s]) for s in rows}
    y = np.array([data.LABELS.index(r["label"]) for r in rows["dev"]])
    engines = {k: Engine(a.out, f"encoder.{f}.onnx") for k, f in (("f32", "f16"), ("int8", "int8"))}
    e = {(k, s): v.logits_once(f"{a.dir}/{s}", [r["text"] for r in rows[s]]) for k, v in engines.items() for s in rows if (k, s) != ("int8", "dev")}
    x = inputs(e["f32", "dev"], n["dev"], c["dev"])
    langs = np.array([r["lang"] for r in rows["dev"]])
    W, b = fit(x, y, shares(langs))
    t, u = thresholds(out_of_fold(x, y, langs), y)
    write_ngrams(z, f"{a.out}/ngrams.bin")
    golden(a.out, z, engines, W, b, (t, u))
    report = {"thresholds": [t, u]}
    for k in engines:
        p = softmax(inputs(e[k, "test"], n["test"], c["test"]) @ W + b)
        report[k] = measure(p, rows["test"], t, u)
    # Each part alone, for the card.
    for k, lg in (("ngrams alone", n), ("encoder alone", {s: e["f32", s] for s in rows})):
        tt, uu = thresholds(softmax(lg["dev"]), y)
        report[k] = measure(softmax(lg["test"]), rows["test"], tt, uu)
    write_toml(a.out, a, W, b, t, u, {l: {"n": r["n"], "f32": r["macro_f1_hate"], "int8": report["int8"][l]["macro_f1_hate"]}
                                      for l, r in report["f32"].items()})
    json.dump(report, open(f"{a.dir}/report.json", "w"), indent=1)
    for k, v in report.items():
        if k != "thresholds":
            print(k, {l: round(r["macro_f1_hate"], 3) for l, r in v.items()}, "three", round(v["all"]["macro_f1"], 3), np.round(v["all"]["f1"], 3))
    print("thresholds", t, u)


if __name__ == "__main__":
    main()
