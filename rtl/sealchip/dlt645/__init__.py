"""DL/T 645-2007 in gateware: frames in and out, the slave, the reporter."""
