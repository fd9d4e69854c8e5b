"""A simulation of the platform under load: does what is provisioned keep what the settings promise?"""
