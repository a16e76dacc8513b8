"""Handlers: one module a way of running a model. Imported in device processes alone."""
