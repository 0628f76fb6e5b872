"""Configuration files: two syntaxes, one table of keys, one result (`policy.connection.Configuration`)."""

from ironswan.config.loader import load

__all__ = ["load"]
