"""The commands of `rlsuite`, once the command line is read."""
