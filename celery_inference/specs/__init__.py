"""Models as senders and workers know them before any is loaded: pipeline tasks, options, the catalogue."""
