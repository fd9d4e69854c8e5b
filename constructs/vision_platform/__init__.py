"""The building blocks of the platform: one capability to a module, constructs with keyword arguments."""
