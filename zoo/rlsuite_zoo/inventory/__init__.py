"""The inventory benchmark: classical and learned policies on the same demands, ranked."""
