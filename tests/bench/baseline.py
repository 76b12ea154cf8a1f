"""The reference side of `cargo bench --bench analyzer`: tokenizers and onnxruntime, as a Python service would use them.

Reads one command a line, answers with seconds of wall time and of processor time:
  tensor ROWS WIDTH TIMES   one padded tensor, one thread
  fifo                      all posts, batches of 32 in order, padded to the longest, two intra-op threads
  sorted                    all posts by length, batches by token budget, two single-thread sessions
It computes the encoder only; ours also scores n-grams and decides.
"""
import json
import resource
import sys
import threading
import time

import numpy as np
import onnxruntime as rt
from tokenizers import Tokenizer

BUDGET = 4096


def session(model, threads):
    o = rt.SessionOptions()
    o.intra_op_num_threads = threads
    o.inter_op_num_threads = 1
    return rt.InferenceSession(f"{model}/encoder.int8.onnx", o)


def run(s, ids, mask):
    return s.run(None, {"input_ids": ids, "attention_mask": mask})[0].argmax(1)


def padded(encodings, multiple=1):
    width = -(-max(len(e.ids) for e in encodings) // multiple) * multiple
    ids = np.zeros((len(encodings), width), np.int64)
    mask = np.zeros_like(ids)
    for row, e in enumerate(encodings):
        ids[row, : len(e.ids)] = e.ids
        mask[row, : len(e.ids)] = 1
    return ids, mask


def fifo(s, tok, posts):
    for i in range(0, len(posts), 32):
        run(s, *padded(tok.encode_batch(posts[i : i + 32])))


def by_length(sessions, tok, posts):
    encodings = sorted(tok.encode_batch(posts), key=lambda e: len(e.ids))
    batches, batch = [], []
    for e in encodings:
        if batch and (len(batch) == 32 or (len(batch) + 1) * len(e.ids) > BUDGET):
            batches.append(batch)
            batch = []
        batch.append(e)
    batches.append(batch)
    lock = threading.Lock()

    def work(s):
        while True:
            with lock:
                if not batches:
                    return
                b = batches.pop()
            run(s, *padded(b, 8))

    threads = [threading.Thread(target=work, args=(s,)) for s in sessions]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def cpu():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime + u.ru_stime


def main():
    model, file = sys.argv[1:]
    posts = json.load(open(file, encoding="utf-8"))
    tok = Tokenizer.from_file(f"{model}/tokenizer.json")
    tok.no_padding()
    tok.enable_truncation(512)
    single, other, double = session(model, 1), session(model, 1), session(model, 2)
    fifo(double, tok, posts[:64])
    by_length([single, other], tok, posts[:64])
    print("ready", flush=True)
    for line in sys.stdin:
        what, *numbers = line.split()
        if what == "tensor":
            rows, width, times = map(int, numbers)
            ids = (1000 + np.arange(rows * width, dtype=np.int64) * 7919 % 28000).reshape(rows, width)
            work = lambda: [run(single, ids, np.ones_like(ids)) for _ in range(times)]
        else:
            work = lambda: fifo(double, tok, posts) if what == "fifo" else by_length([single, other], tok, posts)
        t, c = time.perf_counter(), cpu()
        work()
        print(time.perf_counter() - t, cpu() - c, flush=True)


if __name__ == "__main__":
    main()
