"""snowsage: from Snowflake tables to SageMaker models to scores in SQL, by one pipeline file.

Packages are named after the stages of a row's life, in the order of its flow; see docs/ARCHITECTURE.md.
"""
