"""The encoder: BERT as all-MiniLM-L6-v2 has it, mean pooling, three logits. Plain torch, so that the export is ours."""
import json
import torch
import torch.nn as nn
import torch.nn.functional as F


class Layer(nn.Module):
    def __init__(self, d, heads, ff):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(d, d) for _ in range(4))
        self.n1, self.n2 = nn.LayerNorm(d, 1e-12), nn.LayerNorm(d, 1e-12)
        self.up, self.down = nn.Linear(d, ff), nn.Linear(ff, d)

    def forward(self, x, bias):
        b, s, d = x.shape
        q, k, v = (f(x).view(b, s, self.heads, -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        w = torch.softmax((q @ k.transpose(2, 3)).float() * (d / self.heads) ** -0.5 + bias, -1)
        a = w.to(v.dtype) @ v
        x = self.n1(x + self.o(a.transpose(1, 2).reshape(b, s, d)))
        return self.n2(x + self.down(F.gelu(self.up(x))))


class Encoder(nn.Module):
    def __init__(self, vocab=30522, d=384, layers=6, heads=12, ff=1536, positions=512, labels=3):
        super().__init__()
        self.words, self.places = nn.Embedding(vocab, d), nn.Embedding(positions, d)
        self.norm = nn.LayerNorm(d, 1e-12)
        self.layers = nn.ModuleList(Layer(d, heads, ff) for _ in range(layers))
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(d, labels)

    def forward(self, ids, mask):
        x = self.norm(self.words(ids) + self.places.weight[: ids.shape[1]])
        bias = (1.0 - mask[:, None, None, :].float()) * -10000.0
        for layer in self.layers:
            x = layer(x, bias)
        m = mask.to(x.dtype).unsqueeze(-1)
        pooled = (x * m).sum(1) / m.sum(1)
        return self.head(self.drop(pooled))


def load_base(folder):
    """Weights of the published base; token type 0 is folded into the places, which is the same sum."""
    from safetensors.torch import load_file
    w = load_file(f"{folder}/model.safetensors")
    json.load(open(f"{folder}/config.json"))
    m = Encoder()
    s = m.state_dict()
    s["words.weight"] = w["embeddings.word_embeddings.weight"]
    s["places.weight"] = w["embeddings.position_embeddings.weight"] + w["embeddings.token_type_embeddings.weight"][0]
    for p in ("weight", "bias"):
        s[f"norm.{p}"] = w[f"embeddings.LayerNorm.{p}"]
        for i in range(6):
            b, t = f"encoder.layer.{i}.", f"layers.{i}."
            for ours, theirs in (("q", "attention.self.query"), ("k", "attention.self.key"), ("v", "attention.self.value"),
                                 ("o", "attention.output.dense"), ("n1", "attention.output.LayerNorm"),
                                 ("up", "intermediate.dense"), ("down", "output.dense"), ("n2", "output.LayerNorm")):
                s[f"{t}{ours}.{p}"] = w[f"{b}{theirs}.{p}"]
    m.load_state_dict(s)
    return m


def read_onnx(path):
    """Weights out of a file that export.py wrote, so that training can go on from what is in the tree."""
    import onnx
    from onnx import numpy_helper
    have = {i.name.removesuffix(".f16"): numpy_helper.to_array(i) for i in onnx.load(path).graph.initializer}
    table = lambda k: k in ("words.weight", "places.weight")
    name = lambda k: k.removesuffix(".weight") if table(k) else k
    turn = lambda k, a: a.T if k.endswith(".weight") and a.ndim == 2 and not table(k) else a
    return {k: torch.tensor(turn(k, have[name(k)]), dtype=torch.float32) for k in Encoder().state_dict()}
