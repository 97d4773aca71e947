"""Policy smoothing: noisy observations, and what return they certify under attack (arXiv 2106.11420)."""
