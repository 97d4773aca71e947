"""Adversarial cheap talk: words evolved against whole training runs of victims, all trained at once."""
