"""Diagnosis of a trained network: numbers of its layers, and changes of its design that they suggest."""
