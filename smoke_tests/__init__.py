"""Proves one deployed environment: trains, predicts, refuses, traces, cleans up, and reports."""
