"""Reads the shared splits: tab separated, quoting off, zstd."""
import csv, io, sys
import zstandard

LABELS = ["none", "offensive", "hate"]
# Sources that only say "hate" or "not hate": their `none` rows may be rude.
BINARY = {"gahd", "hatemojibuild", "stormfront_vicomtech", "implicit_hate_corpus", "toxigen_human_subset",
          "fox_news", "edos_sexism", "guest_misogyny", "apeach", "swsr_sexism"}


def read(folder, split):
    """Rows of one split as dictionaries."""
    csv.field_size_limit(sys.maxsize)
    with open(f"{folder}/{split}.tsv.zst", "rb") as raw:
        text = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8", newline="\n")
        return list(csv.DictReader(text, delimiter="\t", quoting=csv.QUOTE_NONE))
