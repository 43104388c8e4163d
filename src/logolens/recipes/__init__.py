"""Whole programs on top of the library: the demo, the case study, the classic retraining scripts."""
