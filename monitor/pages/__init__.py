"""The pages that Flower has here besides its own."""
