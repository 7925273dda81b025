"""Kinds of endpoints, training engines, registries of versions: one folder per platform."""
