"""Results pages: what each one trains, measures and writes."""
