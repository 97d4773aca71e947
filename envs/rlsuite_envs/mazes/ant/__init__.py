"""MuJoCo's ant among obstacles."""
