"""Amazon API Gateway in front of an HTTP backend."""
