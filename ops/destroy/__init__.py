"""`ops destroy`: takes the whole platform away, in order, and lists what is left and why."""
