"""Sends SMS through a GSM module: as a PDU (3GPP TS 23.040), by an AT dialogue (3GPP TS 27.005)."""
