"""Messages between the parent and a device process."""
