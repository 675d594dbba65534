"""Errors meant for the person at the keyboard: one line saying what, where, and what to do about it."""


class FaceptorError(Exception):
    """Base of every error that the command line prints as one line instead of a traceback."""


class ConfigError(FaceptorError):
    """A parameter is unknown, has the wrong type, or asks for something impossible."""


class DataError(FaceptorError):
    """A data set, label file or image is missing, malformed or does not say what it should."""


class WeightsError(FaceptorError):
    """A weight file is missing, truncated, or has missing, extra or misshapen tensors."""


class WriteError(FaceptorError):
    """A file cannot be written: the disk is full or read-only, or writing is forbidden."""
