"""The metering automation system is the master station of many terminals, and monitors seals."""
