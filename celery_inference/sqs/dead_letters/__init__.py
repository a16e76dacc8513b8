"""Dead letters: written with a reason, indexed, listed, redriven, exported."""
