"""Declarative reconciler for machine-learning endpoints."""

__version__ = "0.1.0"
