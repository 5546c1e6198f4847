"""Event tables, which store log records of functions and procedures."""
