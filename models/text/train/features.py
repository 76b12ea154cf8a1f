"""Reads the splits once and counts their n-grams: work/{train,dev,test}.pkl and .npz, for the other scripts."""
import argparse, os, pickle
import scipy.sparse as sp
import data, ngrams

BITS = 20


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--data", required=True, help="folder with train.tsv.zst, dev.tsv.zst, test.tsv.zst")
    a.add_argument("--work", required=True, help="folder outside the tree")
    a = a.parse_args()
    os.makedirs(a.work, exist_ok=True)
    for split in ("dev", "test", "train"):
        rows = data.read(a.data, split)
        keep = ("lang", "text", "label", "source", "neg_scope")
        with open(f"{a.work}/{split}.pkl", "wb") as f:
            pickle.dump([{k: r[k] for k in keep} for r in rows], f)
        m = ngrams.counts([r["text"] for r in rows], BITS)
        sp.save_npz(f"{a.work}/{split}.{BITS}.npz", m, compressed=False)
        print(split, m.shape, "features a row", round(m.nnz / m.shape[0]), flush=True)


if __name__ == "__main__":
    main()
