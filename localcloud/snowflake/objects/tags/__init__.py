"""Tags: their values on objects and columns, inherited from the container, and the functions that read them."""
