"""Features: views, the versioned feature store, and point-in-time training sets."""
