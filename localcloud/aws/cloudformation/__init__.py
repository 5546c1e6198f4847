"""CloudFormation: moto's, with complete bucket settings and a check of resource types."""
