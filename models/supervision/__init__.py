"""Device processes seen from the parent: started, fed, watched, replaced."""
