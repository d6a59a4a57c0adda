"""Independent reference models."""
