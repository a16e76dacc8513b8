"""Groups, chords, chains and links of tasks: whose they may be, and how their parts are sent."""
