"""The commands that build bitstreams for boards with `sealboards`."""
