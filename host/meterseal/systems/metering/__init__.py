"""The metering automation system: master station of many terminals, with its seal monitoring."""
