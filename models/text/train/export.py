"""Writes the encoder as ONNX: f16 weights widened on load for any engine, and int8 for ONNX Runtime."""
import json
import os
import sys
import numpy as np
import onnx
from onnx import TensorProto as T, helper as h, numpy_helper as nh

HEADS, D, LAYERS = 12, 384, 6


class Graph:
    def __init__(self, half):
        self.nodes, self.weights, self.n, self.half = [], [], 0, half

    def const(self, name, a):
        self.weights.append(nh.from_array(a, name))
        return name

    def weight(self, name, a):
        """A matrix: kept in half precision, computed in single precision."""
        if not self.half:
            return self.const(name, a.astype(np.float32))
        self.const(name + ".f16", a.astype(np.float16))
        return self.op("Cast", [name + ".f16"], name, to=T.FLOAT)

    def op(self, kind, inputs, out=None, **attrs):
        self.n += 1
        out = out or f"t{self.n}"
        self.nodes.append(h.make_node(kind, inputs, [out], name=f"{kind}_{self.n}", **attrs))
        return out


def linear(g, x, name, w):
    y = g.op("MatMul", [x, g.weight(name + ".weight", w[name + ".weight"].T.copy())])
    return g.op("Add", [y, g.const(name + ".bias", w[name + ".bias"].astype(np.float32))])


def norm(g, x, name, w):
    return g.op("LayerNormalization", [x, g.const(name + ".weight", w[name + ".weight"].astype(np.float32)),
                                       g.const(name + ".bias", w[name + ".bias"].astype(np.float32))], axis=-1, epsilon=1e-12)


def gelu(g, x):
    e = g.op("Erf", [g.op("Div", [x, g.const(f"root2_{g.n}", np.float32(2 ** 0.5).reshape(()))])])
    e = g.op("Mul", [x, g.op("Add", [e, g.const(f"one_{g.n}", np.array(1, np.float32))])])
    return g.op("Mul", [e, g.const(f"half_{g.n}", np.array(0.5, np.float32))])


def attention(g, x, bias, p, w):
    split = g.const(f"{p}split", np.array([0, 0, HEADS, D // HEADS], np.int64))
    join = g.const(f"{p}join", np.array([0, 0, D], np.int64))
    q, k, v = (g.op("Transpose", [g.op("Reshape", [linear(g, x, p + n, w), split])], perm=perm)
               for n, perm in (("q", (0, 2, 1, 3)), ("k", (0, 2, 3, 1)), ("v", (0, 2, 1, 3))))
    s = g.op("Div", [g.op("MatMul", [q, k]), g.const(f"{p}scale", np.array((D / HEADS) ** 0.5, np.float32))])
    a = g.op("MatMul", [g.op("Softmax", [g.op("Add", [s, bias])], axis=-1), v])
    a = g.op("Reshape", [g.op("Transpose", [a], perm=(0, 2, 1, 3)), join])
    return linear(g, a, p + "o", w)


def build(w, half):
    g = Graph(half)
    axes1 = g.const("axis1", np.array([1], np.int64))
    ids = g.op("Gather", [g.weight("words", w["words.weight"]), "input_ids"])
    # The places 0..S-1 are cut out by the length of the input itself.
    length = g.op("Gather", [g.op("Shape", ["input_ids"]), g.const("dim1", np.array([1], np.int64))])
    places = g.op("Slice", [g.weight("places", w["places.weight"]), g.const("zero", np.array([0], np.int64)), length,
                            g.const("axis0", np.array([0], np.int64))])
    x = norm(g, g.op("Add", [ids, places]), "norm", w)
    m = g.op("Cast", ["attention_mask"], "mask", to=T.FLOAT)
    wide = g.op("Unsqueeze", [m, g.const("axes12", np.array([1, 2], np.int64))])
    bias = g.op("Mul", [g.op("Sub", [g.const("one", np.array(1, np.float32)), wide]), g.const("far", np.array(-10000, np.float32))])
    for i in range(LAYERS):
        p = f"layers.{i}."
        x = norm(g, g.op("Add", [x, attention(g, x, bias, p, w)]), p + "n1", w)
        x = norm(g, g.op("Add", [x, linear(g, gelu(g, linear(g, x, p + "up", w)), p + "down", w)]), p + "n2", w)
    m3 = g.op("Unsqueeze", [m, g.const("axes2", np.array([2], np.int64))])
    total = g.op("ReduceSum", [g.op("Mul", [x, m3]), axes1], keepdims=0)
    mean = g.op("Div", [total, g.op("ReduceSum", [m3, axes1], keepdims=0)])
    y = g.op("MatMul", [mean, g.const("head.weight", w["head.weight"].T.astype(np.float32).copy())])
    g.op("Add", [y, g.const("head.bias", w["head.bias"].astype(np.float32))], "logits")
    io = [h.make_tensor_value_info(n, T.INT64, ["batch", "tokens"]) for n in ("input_ids", "attention_mask")]
    out = [h.make_tensor_value_info("logits", T.FLOAT, ["batch", 3])]
    model = h.make_model(h.make_graph(g.nodes, "antihate-text", io, out, g.weights), opset_imports=[h.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def tokenizer(base, out):
    """The base's tokenizer without its fixed padding and cut: the caller decides both."""
    with open(f"{base}/tokenizer.json", encoding="utf-8") as f:
        t = json.load(f)
    t["truncation"] = t["padding"] = None
    with open(f"{out}/tokenizer.json", "w", encoding="utf-8") as f:
        json.dump(t, f, ensure_ascii=False)


# The two matrices that lose most by eight bits (the second of the first two feed-forward blocks) stay as they are.
KEPT = ("layers.0.down.weight", "layers.1.down.weight")


def eight_bits(w, out):
    """Dynamic quantisation of all other matrices and of the tables, a scale for each column."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    wide = f"{out}/encoder.f32.tmp"
    model = build(w, False)
    onnx.save(model, wide)
    kept = [n.name for n in model.graph.node if n.op_type == "MatMul" and set(KEPT) & set(n.input)]
    quantize_dynamic(wide, f"{out}/encoder.int8.onnx", weight_type=QuantType.QInt8, per_channel=True,
                     op_types_to_quantize=["MatMul", "Gather"], nodes_to_exclude=kept)
    os.remove(wide)


def main(state, base, out):
    """`state`: what train_encoder.py wrote, or encoder.f16.onnx to make only the eight-bit file anew."""
    import torch
    import encoder
    os.makedirs(out, exist_ok=True)
    if state.endswith(".onnx"):
        return eight_bits({k: v.numpy() for k, v in encoder.read_onnx(state).items()}, out)
    w = {k: v.float().numpy() for k, v in torch.load(state).items()}
    tokenizer(base, out)
    onnx.save(build(w, True), f"{out}/encoder.f16.onnx")
    eight_bits(w, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
