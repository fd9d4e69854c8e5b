"""The compliance verdict: one judgement over a synthesized assembly, in the build and on a laptop alike."""
