"""Command line, recipes, benchmarks and results of rlsuite."""
