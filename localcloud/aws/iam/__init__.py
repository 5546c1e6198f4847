"""IAM: moto's, with a policy simulation that evaluates conditions."""
