"""A run: its recipe and folder, the training process and what it records, many runs at a time, random play and baselines."""
