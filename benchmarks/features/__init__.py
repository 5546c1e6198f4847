"""Features on grown orders by the product and by other engines, and the point-in-time join."""
