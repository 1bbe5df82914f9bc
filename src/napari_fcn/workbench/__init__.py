"""What one viewer works with."""
