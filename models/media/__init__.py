"""Media that callers send and results hold: formats, decoding, encoding. Nothing here opens an address or a path."""
