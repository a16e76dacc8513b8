"""The catalogue of models, read from its TOML file."""
