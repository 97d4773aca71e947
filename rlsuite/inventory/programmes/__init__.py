"""Rolling linear and stochastic programmes over a supply network."""
