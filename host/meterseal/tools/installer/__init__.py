"""The installer's tool reads, watches and provisions a seal, and makes its flash image."""
