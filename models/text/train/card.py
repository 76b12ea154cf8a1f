"""Writes MODEL_CARD.md from report.json and from probes: made-up mild sentences for what such models get wrong."""
import argparse, json, os
import numpy as np
import combine as c, data, train_ngrams as tn

# What a reader may expect: "hate" or "not". Sentences of ours; none is from a data set.
PROBES = {
    "direct, no slur": ("hate", ["People of that religion should not be allowed to live here.", "Women are too stupid to vote.",
                                 "Immigrants are worth less than we are.", "Gay people disgust me and should be locked up.",
                                 "Disabled people are a burden and should not exist.", "All foreigners are criminals."]),
    "spelling changed": ("hate", ["W0men are t00 stup1d to v0te.", "Immi grants are worth less than we are.",
                                  "All f0re1gners are cr1m1nals.", "G4y people d1sgust me."]),
    "negated": ("not", ["Nobody should say that women are stupid.", "I would never say that foreigners are criminals.",
                        "No immigrant deserves to be treated like that.", "It is wrong to lock people up for being gay."]),
    "counter-speech": ("not", ["Saying that women are too stupid to vote is shameful.", "'All foreigners are criminals' is a lie, stop repeating it.",
                               "Whoever wrote that Muslims do not belong here should apologise.", "Calling disabled people a burden is cruel."]),
    "group named, nothing bad": ("not", ["My Muslim neighbours brought us cake.", "She is a proud gay woman.",
                                         "The Jewish museum opens at nine.", "Black women are running for the council."]),
    "abuse of one person": ("not", ["You are an idiot.", "This referee is a complete fool.", "Shut up, you liar.", "What a stupid film."]),
}


def table(report):
    f = lambda v: "–" if v is None else f"{v:.3f}"
    out = ["| slice | posts | hate | baseline | f32 | int8 | int8 − f32 | AUC f32 | n-grams alone | encoder alone | F1 none / offensive / hate (f32) |",
           "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|"]
    base = dict(c.BASELINE, **{"all, without gender_only": 0.783})
    for l, r in report["f32"].items():
        i = report["int8"][l]["macro_f1_hate"]
        out.append(f"| {l} | {r['n']} | {r['hate']} | {f(base.get(l))} | **{f(r['macro_f1_hate'])}** | {f(i)} | {100 * (i - r['macro_f1_hate']):+.2f} | {f(r['auc'])} | "
                   f"{f(report['ngrams alone'][l]['macro_f1_hate'])} | {f(report['encoder alone'][l]['macro_f1_hate'])} | {' / '.join(f(v) for v in r['f1']) or '–'} |")
    return "\n".join(out)


def probes(folder):
    import tomllib
    m = tomllib.load(open(f"{folder}/model.toml", "rb"))
    W, b = np.array(m["combination"]["weights"], np.float32), np.array(m["combination"]["bias"], np.float32)
    e, z = c.Engine(folder, "encoder.f16.onnx"), c.read_ngrams(f"{folder}/ngrams.bin")
    out = ["| kind | should be | right |", "|---|---|--:|"]
    for kind, (want, texts) in PROBES.items():
        k = c.counted(texts)
        p = c.softmax(c.inputs(e.logits(texts), tn.logits(z, k), k) @ W + b)
        hate = c.decide(p, m["decision"]["hate"], m["decision"]["offensive_of_rest"]) == 2
        out.append(f"| {kind} | {want} | {int((hate == (want == 'hate')).sum())} of {len(texts)} |")
    return "\n".join(out)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--dir", required=True)
    a.add_argument("--out", required=True)
    a = a.parse_args()
    r = json.load(open(f"{a.dir}/report.json"))
    size = sum(os.path.getsize(f"{a.out}/{f}") for f in os.listdir(a.out) if os.path.isfile(f"{a.out}/{f}")) / 1e6
    three = {k: r[k]["all"] for k in ("f32", "int8")}
    here = os.path.dirname(os.path.abspath(__file__))
    text = open(f"{here}/card.template.md", encoding="utf-8").read()
    fields = {"TABLE": table(r), "PROBES": probes(a.out), "SIZE": f"{size:.0f}", "HATE": r["thresholds"][0], "REST": r["thresholds"][1],
              "THREE_F32": f"{three['f32']['macro_f1']:.3f}", "THREE_INT8": f"{three['int8']['macro_f1']:.3f}",
              "BY_LABEL": ", ".join(f"{l} {v:.3f}" for l, v in zip(data.LABELS, three["f32"]["f1"]))}
    for k, v in fields.items():
        text = text.replace("{" + k + "}", str(v))
    open(f"{a.out}/MODEL_CARD.md", "w", encoding="utf-8").write(text)


if __name__ == "__main__":
    main()
