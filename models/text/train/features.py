"""Reads the splits once and counts their n-grams: work/{train,dev,test}.pkl and .npz, for the other scripts."""
import argparse, os, pickle
import numpy as np
import data, ngrams


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
        keys, times, first = ngrams.counts([r["text"] for r in rows])
        script = np.array([ngrams.script(r["text"]) for r in rows], np.uint8)
        foreign = np.array([ngrams.foreign(r["text"]) for r in rows], np.float32)
        np.savez(f"{a.work}/{split}.npz", keys=keys, times=times, first=first, script=script, foreign=foreign)
        print(split, len(rows), "features a row", round(len(keys) / len(rows)), flush=True)


if __name__ == "__main__":
    main()
