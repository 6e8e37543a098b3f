"""What every stage stands on: settings, the engine, dbt, the lock, gates, runs, what is printed."""
