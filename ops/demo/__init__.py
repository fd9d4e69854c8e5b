"""The demo: one commit travels through the whole delivery pipeline in the local twin."""
