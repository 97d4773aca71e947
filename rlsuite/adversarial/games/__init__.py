"""Two-player training: RARL, QARL, their soft players, curricula, matrix games, judging against many opponents."""
