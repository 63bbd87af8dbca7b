"""A package that a test puts into its binary."""
