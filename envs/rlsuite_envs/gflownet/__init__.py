"""Objects that are built move by move, forwards and backwards: what GFlowNets sample, and masked agents play."""
