"""The operator's tools: what people run by hand, against AWS and the twin alike."""
