"""`faceptor <verb>`: one file per verb."""

from faceptor.cli.app import app, main

__all__ = ["app", "main"]
