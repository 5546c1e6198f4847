"""Table functions: FLATTEN, RESULT_SCAN, and those of INFORMATION_SCHEMA."""
