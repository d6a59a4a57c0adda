"""Bitstreams for boards: the command in front of `sealboards`."""
