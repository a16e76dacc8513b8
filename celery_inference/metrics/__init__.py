"""Every metric of ours: one table, and how its rows are served."""
