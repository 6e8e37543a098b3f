"""Shared by all stages: settings, DuckDB, dbt, the lock, gates, runs and terminal output."""
