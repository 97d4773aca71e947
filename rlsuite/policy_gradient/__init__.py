"""policy_gradient."""
