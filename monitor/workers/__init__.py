"""What workers say of themselves: models, devices, figures."""
