"""A member of a namespace package."""
