"""rlsuite: published deep-RL algorithms that mainstream libraries lack."""

__version__ = "0.1.0"
