"""SMS through a GSM module: the message as a PDU (3GPP TS 23.040) and the AT dialogue (3GPP TS 27.005)."""
