"""The results page of SubPO beside greedy and exact planners."""
