"""The attack zoo; see `zoo` for the list."""
