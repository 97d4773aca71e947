"""The page of C-MORL: sets of policies, stages, the authors' logs."""
