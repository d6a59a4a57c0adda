"""What a seal says and is: its record, a meter's journal of records, its identity in flash."""
