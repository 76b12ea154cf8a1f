//! Text in, scores out. Sole home of tract, ort and tokenizers.
