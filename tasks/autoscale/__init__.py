"""How many workers there should be: the policy, what it reads, and the fleets that it drives."""
