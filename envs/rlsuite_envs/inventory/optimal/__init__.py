"""Exact solvers of small inventory problems: optimal costs and policies that results are compared with."""
