"""The runtime, with its borders replaced."""
