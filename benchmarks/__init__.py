"""Measurements: where the time of a delivery goes. Run by make bench; never part of a test."""
