"""Training under attacked observations: ATLA with the SA regulariser, PROTECTED's set of policies and its choice."""
