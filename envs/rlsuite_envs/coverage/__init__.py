"""Submodular coverage: rewards that diminish with what was already seen."""
