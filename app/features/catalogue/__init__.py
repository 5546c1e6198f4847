"""What the feature store holds, for people: definitions as written, the origin of each feature, freshness and use."""
