"""Table in, scores out: predicted from Parquet, merged exactly once."""
