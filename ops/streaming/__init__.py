"""What operators do about the burst path."""
