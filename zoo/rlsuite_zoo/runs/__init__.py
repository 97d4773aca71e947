"""A run: recipe, folder, training process and what it records; many runs at a time; random play and baselines."""
