"""Inventory and production: stock, orders and demand, differentiable where the mathematics is."""
