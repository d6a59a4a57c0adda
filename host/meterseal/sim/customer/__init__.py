"""The customer's end, simulated: a GSM modem on a PTY, the mobile network behind it, the phones' screens."""
