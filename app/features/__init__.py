"""What a row is: views, the versioned store, point-in-time training sets."""
