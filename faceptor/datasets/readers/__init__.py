"""Readers, one module for each published data set, and `generic` for a user's own."""
