"""Snapshots, and plans that are made against files instead of a platform."""
