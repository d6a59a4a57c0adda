"""Every published figure, measured beside its peers in one run."""
