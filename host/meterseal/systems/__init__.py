"""The product systems of the chain: terminal, metering, marketing."""
