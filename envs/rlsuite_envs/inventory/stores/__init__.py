"""Stores, warehouses and serial systems with lead times."""
