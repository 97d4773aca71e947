"""Classical policies (base stock, (s, S), newsvendor, echelon levels), their forecasts, tuning and play."""
