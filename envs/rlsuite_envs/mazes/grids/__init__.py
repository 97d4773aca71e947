"""Mazes of cells: grid mazes, keys and doors, slippery lakes, and how they are drawn, generated and solved."""
