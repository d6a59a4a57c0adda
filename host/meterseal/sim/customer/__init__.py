"""The simulated customer: a GSM modem on a PTY, the mobile network, and the screens of the phones."""
